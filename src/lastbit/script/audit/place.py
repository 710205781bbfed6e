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

ModuleRef = weakref.ref[nn.Module]


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of a program and the modules being called there."""

    file: str | None  # of the innermost line that is the user's own; None where there is none
    line: int
    root: ModuleRef | None  # outermost module
    module: ModuleRef | None  # innermost module

    def written(self) -> str | None:
        """As `train.py:12`, relative to the working directory where it lies below it."""
        if self.file is None:
            return None
        path = Path(self.file)
        return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{self.line}"


class Program:
    """Tells the user's own code from that of libraries, once for each code object."""

    def __init__(self) -> None:
        self._own: dict[CodeType, bool] = {}

    def place(self, frame: FrameType | None) -> CallSite:
        """Where `frame` is, by the frames that called it."""
        line: FrameType | None = None
        inner: FrameType | None = None
        outer: FrameType | None = None
        while frame is not None:
            code = frame.f_code
            if line is None and self.owns(code):
                line = frame
            if code is _CALLS_A_MODULE:
                outer = frame
                inner = inner or frame
            frame = frame.f_back
        file = None if line is None else line.f_code.co_filename
        return CallSite(file, 0 if line is None else line.f_lineno, _module(outer), _module(inner))

    def owns(self, code: CodeType) -> bool:
        """Whether a code object is the user's own."""
        own = self._own.get(code)
        if own is None:
            own = self._own[code] = _is_own(code.co_filename)
        return own

    def files(self) -> list[str]:
        """The user's own files that were seen at work, or imported."""
        seen = {code.co_filename for code, own in self._own.items() if own}
        imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        return sorted(seen | {file for file in imported if file and file.endswith(".py") and _is_own(file)})

    def in_backward_code(self, frame: FrameType | None) -> bool:
        """Whether the user's own code runs inside the backward pass: an autograd function's, or a hook's."""
        for each in frames(frame):
            if each.f_code.co_filename == _STARTS_BACKWARD:
                return False
            if self.owns(each.f_code):
                return True
        return False


def _is_own(file: str) -> bool:
    return not file.startswith(_LIBRARIES) and not any(name in file for name in _INSTALLED)


def phase(frame: FrameType | None) -> str:
    """The phase of training: backward inside autograd, optimizer inside an update, and otherwise forward.

    An update is what an optimizer, gradient clipping and a gradient scaler do.
    """
    if torch._C._current_graph_task_id() != -1:
        return BACKWARD
    for each in frames(frame):
        if each.f_code is _CALLS_A_MODULE:
            return FORWARD
        if each.f_code.co_filename.startswith(_UPDATES):
            return OPTIMIZER
    return FORWARD


def path_of(module: nn.Module, root: nn.Module, frame: FrameType | None) -> str:
    """A module's path, such as `model.layer1.0.conv1`: its root's name in the program, then its own in the root."""
    inside = next((name for name, each in root.named_modules() if each is module), type(module).__name__)
    return ".".join(part for part in (_name_of(root, frame), inside) if part)


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def outside_backward(frame: FrameType | None) -> FrameType | None:
    """The frame that asked for the backward pass within which `frame` runs; None on a thread of autograd's own."""
    stack = frames(frame)
    for each in stack:
        if each.f_code.co_filename == _STARTS_BACKWARD:
            break
    return next(stack, None)


def _module(frame: FrameType | None) -> ModuleRef | None:
    return None if frame is None else weakref.ref(frame.f_locals["self"])


def _name_of(root: nn.Module, frame: FrameType | None) -> str:
    """What the program calls a module: a variable, or an attribute of `self`; its class where nothing else is found."""
    for each in frames(frame):
        if each.f_code.co_filename.startswith((_TORCH, _OURS)):
            continue
        for names in (each.f_locals, each.f_globals, _attributes(each.f_locals.get("self"))):
            found = next((name for name, value in list(names.items()) if value is root and name != "self"), None)
            if found is not None:
                return found
    return type(root).__name__


def _attributes(value: object) -> dict[str, object]:
    if isinstance(value, nn.Module):
        return dict(value._modules)
    return dict(getattr(value, "__dict__", {}))


_KEPT = 1 << 16  # nodes; a graph of more since its forward pass loses its oldest names, not its comparison


class Origins:
    """Remembers, for the latest nodes of autograd's graphs, the place of their forward operation."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._places: dict[int, CallSite] = {}  # by the node's sequence number
        self._next = _get_sequence_nr()
        self._roots: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def note(self, frame: FrameType) -> None:
        """Give the nodes made since the last call the place of this frame."""
        first, self._next = self._next, _get_sequence_nr()
        if first == self._next:
            return
        place = self._program.place(frame)
        if place.root is not None and (root := place.root()) is not None:
            self._roots.add(root)
        for number in range(first, self._next):
            self._places[number] = place
            self._places.pop(number - _KEPT, None)

    def of(self, node: torch.autograd.graph.Node) -> CallSite | None:
        """Where the operation was done that a node differentiates."""
        return self._places.get(node._sequence_nr())

    def owner(self, tensor: Tensor, frame: FrameType | None) -> str | None:
        """The path of the module that holds a parameter; the tensor is it, its gradient, or an optimizer's state of it.

        Modules are those that were called; optimizers those at work in the frame and its callers.
        """
        parameter = _parameter_of_state(tensor, frame)
        for root in list(self._roots):
            for module in root.modules():
                for each in module.parameters(recurse=False):
                    if each is parameter or each is tensor or each.grad is tensor:
                        return path_of(module, root, frame)
        return None


def _parameter_of_state(tensor: Tensor, frame: FrameType | None) -> Tensor | None:
    for each in frames(frame):
        optimizer = each.f_locals.get("self")
        if isinstance(optimizer, torch.optim.Optimizer):
            for parameter, state in optimizer.state.items():
                if any(value is tensor for value in state.values()):
                    return parameter
    return None


@dataclass(frozen=True)
class Location:
    """The place of an operation in words."""

    phase: str
    module: str | None  # such as `model.layer1.0.conv1`
    line: str | None  # such as `train.py:12`
    called_from: str | None  # in the backward pass, the line that asked for it


def locate(frame: FrameType, program: Program, origins: Origins) -> Location:
    """Find out where the operation is that `frame` calls."""
    now, place = phase(frame), program.place(frame)
    if now != BACKWARD:
        return Location(now, _module_path(place, frame), place.written(), None)
    caller = program.place(outside_backward(frame)).written()
    node = torch._C._current_autograd_node()
    origin = None if node is None else origins.of(node)
    if origin is None:
        variable = getattr(node, "variable", None)  # of a node that adds a gradient to a parameter's
        owner = None if variable is None else origins.owner(variable, frame)
        return Location(now, owner, place.written() or caller, caller)
    # A backward of the user's own, or a hook of theirs, says more than the forward operation.
    line = place if program.in_backward_code(frame) else origin
    return Location(now, _module_path(origin, frame), line.written(), caller)


def _module_path(place: CallSite, frame: FrameType) -> str | None:
    root = None if place.root is None else place.root()
    module = None if place.module is None else place.module()
    return None if root is None or module is None else path_of(module, root, frame)
