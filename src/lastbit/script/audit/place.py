"""Where in a program an operation happens: the script's line, the module, the phase of training."""

import sys
import sysconfig
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import torch
from torch import nn

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
class Place:
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

    def place(self, frame: FrameType | None) -> Place:
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
        return Place(file, 0 if line is None else line.f_lineno, _module(outer), _module(inner))

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
