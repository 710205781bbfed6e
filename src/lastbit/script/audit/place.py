"""Where in a program an operation happens: the script's line, the module, the phase of training."""

import sys
import sysconfig
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import torch
from torch import Tensor, nn
from torch.autograd import _get_sequence_nr  # type: ignore[attr-defined]

FORWARD, BACKWARD, OPTIMIZER = "forward", "backward", "optimizer"

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parents[2])
_LIBRARIES = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _OURS, "<"})
_INSTALLED = ("site-packages", "dist-packages")
_CALLS_A_MODULE = nn.Module._call_impl.__code__
_UPDATES = tuple(f"{_TORCH}/{place}" for place in ("optim/", "nn/utils/clip_grad.py", "amp/grad_scaler.py"))
_STARTS_BACKWARD = f"{_TORCH}/autograd/graph.py"
_KEPT = 1 << 16  # nodes; a graph of more since its forward pass loses its oldest names, not its comparison

ModuleRef = weakref.ref[nn.Module]


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of a program and the modules being called there."""

    file: str | None  # of the innermost line that is the user's own; None where there is none
    line: int
    root: ModuleRef | None  # outermost module
    module: ModuleRef | None  # innermost module

    @property
    def where(self) -> str | None:
        """File and line as `train.py:12`, relative to the working directory where it lies below it."""
        return None if self.file is None else relative(self.file, self.line)

    def module_path(self, frame: FrameType) -> str | None:
        """The innermost module's path, such as `model.layer1.0.conv1`."""
        root = None if self.root is None else self.root()
        module = None if self.module is None else self.module()
        return None if root is None or module is None else _path_of(module, root, frame)


@dataclass(frozen=True)
class Location:
    """The place of an operation in words."""

    phase: str
    module: str | None  # such as `model.layer1.0.conv1`
    line: str | None  # such as `train.py:12`
    called_from: str | None  # in the backward pass, the line that asked for it


class Program:
    """Distinguishes the user's own code from that of libraries, once for each code object."""

    def __init__(self) -> None:
        self._own: dict[CodeType, bool] = {}

    def site(self, frame: FrameType | None) -> CallSite:
        """Where `frame` is, by the frames that called it."""
        line: FrameType | None = None
        inner: FrameType | None = None
        outer: FrameType | None = None
        for caller in frames(frame):
            if line is None and self.owns(caller.f_code):
                line = caller
            if caller.f_code is _CALLS_A_MODULE:
                outer = caller
                inner = inner or caller
        file = None if line is None else line.f_code.co_filename
        return CallSite(file, 0 if line is None else line.f_lineno, _module(outer), _module(inner))

    def owns(self, code: CodeType) -> bool:
        """Whether a code object is the user's own."""
        own = self._own.get(code)
        if own is None:
            own = self._own[code] = is_own(code.co_filename)
        return own

    def files(self) -> list[str]:
        """The user's own files that were seen at work, or imported."""
        seen = {code.co_filename for code, own in self._own.items() if own}
        imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        return sorted(seen | {file for file in imported if file and file.endswith(".py") and is_own(file)})

    def in_backward_code(self, frame: FrameType | None) -> bool:
        """Whether the user's own code runs inside the backward pass: an autograd function's, or a hook's."""
        for caller in frames(frame):
            if caller.f_code.co_filename == _STARTS_BACKWARD:
                return False
            if self.owns(caller.f_code):
                return True
        return False


def relative(file: str, line: int) -> str:
    """A line as `train.py:12`, relative to the working directory where the file lies below it."""
    path = Path(file)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"


def is_own(file: str) -> bool:
    """Whether a file is the user's own, and not a library's."""
    return not file.startswith(_LIBRARIES) and not any(name in file for name in _INSTALLED)


class Locator:
    """Says where operations are; in the backward pass, where the forward operation is that a node differentiates.

    It remembers the call sites of the latest nodes of autograd's graphs.
    """

    def __init__(self) -> None:
        self.program = Program()
        self._sites: dict[int, CallSite] = {}  # by the node's sequence number
        self._next = _get_sequence_nr()
        self._roots: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def note(self, frame: FrameType) -> None:
        """Give the nodes made since the last call the call site of this frame."""
        first, self._next = self._next, _get_sequence_nr()
        if first == self._next:
            return
        site = self.program.site(frame)
        if site.root is not None and (root := site.root()) is not None:
            self._roots.add(root)
        for number in range(first, self._next):
            self._sites[number] = site
            self._sites.pop(number - _KEPT, None)

    def locate(self, frame: FrameType) -> Location:
        """Where the operation is that `frame` calls."""
        phase, site = _phase(frame), self.program.site(frame)
        if phase != BACKWARD:
            return Location(phase, site.module_path(frame), site.where, None)
        caller = self.program.site(_outside_backward(frame)).where
        node = torch._C._current_autograd_node()
        origin = None if node is None else self._sites.get(node._sequence_nr())
        if origin is None:
            variable = getattr(node, "variable", None)  # of a node that adds a gradient to a parameter's
            owner = None if variable is None else self.owner(variable, frame)
            return Location(phase, owner, site.where or caller, caller)
        # A backward of the user's own, or a hook of theirs, says more than the forward operation.
        line = site if self.program.in_backward_code(frame) else origin
        return Location(phase, origin.module_path(frame), line.where, caller)

    def owner(self, tensor: Tensor, frame: FrameType | None) -> str | None:
        """The path of the module that holds a parameter; the tensor is it, its gradient, or an optimizer's state of it.

        Modules are those that were called; optimizers those at work in the frame and its callers.
        """
        updated = _parameter_of_state(tensor, frame)
        for root in list(self._roots):
            for module in root.modules():
                for parameter in module.parameters(recurse=False):
                    if parameter is updated or parameter is tensor or parameter.grad is tensor:
                        return _path_of(module, root, frame)
        return None


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _phase(frame: FrameType | None) -> str:
    """The phase of training: backward inside autograd, optimizer inside an update, and otherwise forward.

    An update is what an optimizer, gradient clipping and a gradient scaler do.
    """
    if torch._C._current_graph_task_id() != -1:
        return BACKWARD
    for caller in frames(frame):
        if caller.f_code is _CALLS_A_MODULE:
            return FORWARD
        if caller.f_code.co_filename.startswith(_UPDATES):
            return OPTIMIZER
    return FORWARD


def _outside_backward(frame: FrameType | None) -> FrameType | None:
    """The frame that asked for the backward pass within which `frame` runs; None on a thread of autograd's own."""
    callers = frames(frame)
    for caller in callers:
        if caller.f_code.co_filename == _STARTS_BACKWARD:
            break
    return next(callers, None)


def _module(frame: FrameType | None) -> ModuleRef | None:
    return None if frame is None else weakref.ref(frame.f_locals["self"])


def _path_of(module: nn.Module, root: nn.Module, frame: FrameType | None) -> str:
    """A module's path, such as `model.layer1.0.conv1`: its root's name in the program, then its own in the root."""
    inside = next((name for name, child in root.named_modules() if child is module), type(module).__name__)
    return ".".join(part for part in (_name_of(root, frame), inside) if part)


def _name_of(root: nn.Module, frame: FrameType | None) -> str:
    """What the program calls a module: a variable, or an attribute of `self`; its class where there is neither."""
    for caller in frames(frame):
        if caller.f_code.co_filename.startswith((_TORCH, _OURS)):
            continue
        for names in (caller.f_locals, caller.f_globals, _attributes(caller.f_locals.get("self"))):
            name = next((name for name, value in list(names.items()) if value is root and name != "self"), None)
            if name is not None:
                return name
    return type(root).__name__


def _attributes(value: object) -> dict[str, object]:
    return dict(value._modules) if isinstance(value, nn.Module) else dict(getattr(value, "__dict__", {}))


def _parameter_of_state(tensor: Tensor, frame: FrameType | None) -> Tensor | None:
    for caller in frames(frame):
        optimizer = caller.f_locals.get("self")
        if isinstance(optimizer, torch.optim.Optimizer):
            for parameter, state in optimizer.state.items():
                if any(value is tensor for value in state.values()):
                    return parameter
    return None
