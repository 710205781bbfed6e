"""Which forward operation a node of autograd's graph differentiates."""

import weakref
from types import FrameType

import torch
from torch import Tensor, nn
from torch.autograd import _get_sequence_nr  # type: ignore[attr-defined]

from lastbit.script.audit.place import Place, Program, frames, path_of

_KEPT = 1 << 16  # nodes; a graph of more since its forward pass loses its oldest names, not its comparison


class Origins:
    """Remembers, for the latest nodes of autograd's graphs, the place of their forward operation."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._places: dict[int, Place] = {}  # by the node's sequence number
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

    def of(self, node: torch.autograd.graph.Node) -> Place | None:
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
