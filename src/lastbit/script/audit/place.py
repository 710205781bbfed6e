"""Where in a program an operation happens: the script's line, the module, the phase of training."""

import weakref
from dataclasses import dataclass
from types import FrameType

import torch
from torch import Tensor, nn
from torch.autograd import _get_sequence_nr  # type: ignore[attr-defined]

from lastbit.script.audit.program import (
    BACKWARD,
    OURS,
    STARTS_BACKWARD,
    TORCH,
    CallSite,
    ModuleRef,
    Program,
    Walk,
    frames,
)

_KEPT = 1 << 16  # nodes; a graph of more since its forward pass loses its oldest names, not its comparison


@dataclass(frozen=True)
class Location:
    """The place of an operation in words."""

    phase: str
    module: str | None  # such as `model.layer1.0.conv1`
    line: str | None  # such as `train.py:12`
    called_from: str | None  # in the backward pass, the line that asked for it


class Locator:
    """Says where operations are; in the backward pass, where the forward operation is that a node differentiates.

    It remembers the call sites of the latest nodes of autograd's graphs. Equal places are one and the same object.
    """

    def __init__(self) -> None:
        self.program = Program()
        self._sites: dict[int, CallSite] = {}  # by the node's sequence number
        self._next = _get_sequence_nr()
        self._roots: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._paths: dict[tuple[ModuleRef, ModuleRef], str] = {}  # of modules in their roots
        self._locations: dict[Location, Location] = {}
        self._backward: tuple[int, str | None] = (-1, None)  # the latest backward pass, and the line that asked for it

    def note(self, frame: FrameType | None) -> Walk | None:
        """Give the nodes made since the last call the call site of this frame; return it where there were any."""
        first, self._next = self._next, _get_sequence_nr()
        if first == self._next:
            return None
        phase, site = self.program.walk(frame)
        if site.root is not None and (root := site.root()) is not None:
            self._roots.add(root)
        for number in range(first, self._next):
            self._sites[number] = site
            self._sites.pop(number - _KEPT, None)
        return phase, site

    def locate(self, frame: FrameType | None, walked: Walk | None = None) -> Location:
        """Where the operation is that `frame` calls; `walked` is what `note` has just returned for it."""
        task = torch._C._current_graph_task_id()
        if task == -1:
            phase, site = walked or self.program.walk(frame)
            location = Location(phase, self._module_path(site, frame), site.where, None)
        else:
            location = self._in_backward(frame, task)
        return self._locations.setdefault(location, location)

    def _in_backward(self, frame: FrameType | None, task: int) -> Location:
        caller = self._caller(frame, task)
        node = torch._C._current_autograd_node()
        origin = None if node is None else self._sites.get(node._sequence_nr())
        if origin is None:
            variable = getattr(node, "variable", None)  # of a node that adds a gradient to a parameter's
            owner = None if variable is None else self.owner(variable, frame)
            _, site = self.program.walk(frame)
            return Location(BACKWARD, owner, site.where or caller, caller)
        # A backward of the user's own, or a hook of theirs, says more than the forward operation.
        line = self.program.walk(frame)[1] if self.program.in_backward_code(frame) else origin
        return Location(BACKWARD, self._module_path(origin, frame), line.where, caller)

    def _caller(self, frame: FrameType | None, task: int) -> str | None:
        """The line that asked for the backward pass."""
        if self._backward[0] != task:
            self._backward = task, self.program.line(_outside_backward(frame))
        return self._backward[1]

    def _module_path(self, site: CallSite, frame: FrameType | None) -> str | None:
        """The innermost module's path, such as `model.layer1.0.conv1`."""
        if site.root is None or site.module is None:
            return None
        root, module, known = site.root(), site.module(), (site.root, site.module)
        if root is not None and module is not None and known not in self._paths:
            self._paths[known] = _path_of(module, root, frame)
        return self._paths.get(known)

    def parameter_names(self, frame: FrameType | None) -> dict[int, str]:
        """The parameters of all modules that were called, by `id`: `model.layer1.0.conv1.weight`."""
        return {
            id(parameter): f"{path}.{name}".replace("._orig_mod.", ".")  # of a compiled module
            for root in list(self._roots)
            for path in [_name_of(root, frame)]
            for name, parameter in root.named_parameters()
        }

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


def _outside_backward(frame: FrameType | None) -> FrameType | None:
    """The frame that asked for the backward pass within which `frame` runs; None on a thread of autograd's own."""
    callers = frames(frame)
    for caller in callers:
        if caller.f_code.co_filename == STARTS_BACKWARD:
            break
    return next(callers, None)


def _path_of(module: nn.Module, root: nn.Module, frame: FrameType | None) -> str:
    """A module's path, such as `model.layer1.0.conv1`: its root's name in the program, then its own in the root."""
    inside = next((name for name, child in root.named_modules() if child is module), type(module).__name__)
    return ".".join(part for part in (_name_of(root, frame), inside) if part)


def _name_of(root: nn.Module, frame: FrameType | None) -> str:
    """What the program calls a module: a variable, or an attribute of `self`; its class where there is neither."""
    for caller in frames(frame):
        if caller.f_code.co_filename.startswith((TORCH, OURS)):
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
