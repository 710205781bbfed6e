"""The user's own code, told from that of libraries, and the lines and modules at work in a stack of frames."""

import os
import sys
import sysconfig
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

import torch
from torch import nn

FORWARD, BACKWARD, OPTIMIZER = "forward", "backward", "optimizer"
TORCH = str(Path(torch.__file__).parent)
OURS = str(Path(__file__).parents[2])
STARTS_BACKWARD = f"{TORCH}/autograd/graph.py"

_LIBRARIES = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), OURS, "<"})
_INSTALLED = ("site-packages", "dist-packages")
_CALLS_A_MODULE = nn.Module._call_impl.__code__
_UPDATE_FILES = tuple(f"{TORCH}/{place}" for place in ("optim/", "nn/utils/clip_grad.py", "amp/grad_scaler.py"))
_OWN, _CALLS, _UPDATES = 1, 2, 4  # roles of code: the user's own, the call of a module, of an update

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


def relative(file: str, line: int) -> str:
    """A line as `train.py:12`, relative to the working directory where the file lies below it."""
    return _relative(file, line, os.getcwd())  # noqa: PTH109 - of every operation: Path.cwd takes five times as long


@cache
def _relative(file: str, line: int, directory: str) -> str:
    path = Path(file)
    return f"{path.relative_to(directory) if path.is_relative_to(directory) else path}:{line}"


Walk = tuple[str, CallSite]  # a phase, unless it is backward, and a place


class Program:
    """Distinguishes the user's own code from that of libraries, once for each code object."""

    def __init__(self) -> None:
        # By address, with the code itself to keep that from being given to another: hashing code takes longer.
        self._roles: dict[int, tuple[int, CodeType]] = {}

    def walk(self, frame: FrameType | None) -> Walk:
        """The phase of training, unless it is backward, and the place of `frame`, by the frames that called it.

        An update is what an optimizer, gradient clipping and a gradient scaler do.
        """
        line: FrameType | None = None
        inner: FrameType | None = None
        outer: FrameType | None = None
        phase, roles = "", self._roles
        while frame is not None:
            code = frame.f_code
            known = roles.get(id(code))
            role = self._learn(code) if known is None else known[0]
            if role:
                if role & _OWN:
                    line = line or frame
                if role & _CALLS:
                    outer = frame
                    inner = inner or frame
                    phase = phase or FORWARD
                elif role & _UPDATES:
                    phase = phase or OPTIMIZER
            frame = frame.f_back
        file = None if line is None else line.f_code.co_filename
        return phase or FORWARD, CallSite(file, 0 if line is None else line.f_lineno, _module(outer), _module(inner))

    def line(self, frame: FrameType | None) -> str | None:
        """The innermost line of the user's own that a frame was called from, as `train.py:12`."""
        return self.walk(frame)[1].where

    def owns(self, code: CodeType) -> bool:
        """Whether a code object is the user's own."""
        known = self._roles.get(id(code))
        return bool((self._learn(code) if known is None else known[0]) & _OWN)

    def _learn(self, code: CodeType) -> int:
        file = code.co_filename
        role = _OWN if is_own(file) else 0
        role |= _CALLS if code is _CALLS_A_MODULE else 0
        role |= _UPDATES if file.startswith(_UPDATE_FILES) else 0
        self._roles[id(code)] = role, code
        return role

    def files(self) -> list[str]:
        """The user's own files that were seen at work, or imported."""
        seen = {code.co_filename for role, code in self._roles.values() if role & _OWN}
        imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        return sorted(seen | {file for file in imported if file and file.endswith(".py") and is_own(file)})

    def in_backward_code(self, frame: FrameType | None) -> bool:
        """Whether the user's own code runs inside the backward pass: an autograd function's, or a hook's."""
        for caller in frames(frame):
            if caller.f_code.co_filename == STARTS_BACKWARD:
                return False
            if self.owns(caller.f_code):
                return True
        return False


def is_own(file: str) -> bool:
    """Whether a file is the user's own, and not a library's."""
    return not file.startswith(_LIBRARIES) and not any(name in file for name in _INSTALLED)


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType | None) -> ModuleRef | None:
    return None if frame is None else weakref.ref(frame.f_locals["self"])
