"""The place of an operation in words, for the backward pass by the forward operation that it differentiates."""

from dataclasses import dataclass
from types import FrameType

import torch

from lastbit.script.audit.origins import Origins
from lastbit.script.audit.place import BACKWARD, Place, Program, outside_backward, path_of, phase


@dataclass(frozen=True)
class Whereabouts:
    """The place of an operation in words."""

    phase: str
    module: str | None  # such as `model.layer1.0.conv1`
    line: str | None  # such as `train.py:12`
    called_from: str | None  # in the backward pass, the line that asked for it


def whereabouts(frame: FrameType, program: Program, origins: Origins) -> Whereabouts:
    """Find out where the operation is that `frame` calls."""
    now, place = phase(frame), program.place(frame)
    if now != BACKWARD:
        return Whereabouts(now, _module_path(place, frame), place.written(), None)
    caller = program.place(outside_backward(frame)).written()
    node = torch._C._current_autograd_node()
    origin = None if node is None else origins.of(node)
    if origin is None:
        variable = getattr(node, "variable", None)  # of a node that adds a gradient to a parameter's
        owner = None if variable is None else origins.owner(variable, frame)
        return Whereabouts(now, owner, place.written() or caller, caller)
    # A backward of the user's own, or a hook of theirs, says more than the forward operation.
    line = place if program.in_backward_code(frame) else origin
    return Whereabouts(now, _module_path(origin, frame), line.written(), caller)


def _module_path(place: Place, frame: FrameType) -> str | None:
    root = None if place.root is None else place.root()
    module = None if place.module is None else place.module()
    return None if root is None or module is None else path_of(module, root, frame)
