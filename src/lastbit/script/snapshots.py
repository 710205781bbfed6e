"""Weights of somebody's program kept along the way, without its help."""

import weakref
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.optim import Optimizer

from lastbit.schedules import Schedule
from lastbit.script.names import parameter_names, parameters_of
from lastbit.study import Recorder

_ENDS = 20  # networks trained one after another of which each one's end is kept; of more, those that are due


@dataclass
class _Known:
    """An optimizer that has stepped."""

    optimizer: weakref.ref[Optimizer]  # a program may drop it, and its weights with it
    number: int  # of the optimizer among all that the program made, from 1
    names: list[str]  # of its parameters, as it had them when last looked at
    first: int  # step of the program
    last: int = 0

    def weights(self, several: bool) -> dict[str, Tensor]:
        """Its parameters by name; with its number before them where the program made several optimizers."""
        optimizer = self.optimizer()
        if optimizer is None:
            return {}
        parameters = parameters_of(optimizer)
        if len(parameters) != len(self.names):
            self.names = parameter_names(parameters)
        prefix = f"optimizer {self.number}: " if several else ""
        return {f"{prefix}{name}": parameter for name, parameter in zip(self.names, parameters, strict=True)}


class Snapshots:
    """Keeps the weights of all optimizers of a program at steps that are due.

    A step is one call of one optimizer's `step`: a program with two optimizers takes two for each round.

    Args:
        recorder: where they are kept.
        due: which steps.
    """

    def __init__(self, recorder: Recorder, due: Schedule) -> None:
        self.step = 0
        self.diverged_at: int | None = None  # step of the first kept weights that were not finite
        self._recorder, self._due = recorder, due
        self._made: dict[int, weakref.ref[Optimizer]] = {}  # number -> optimizer
        self._known: list[_Known] = []
        # Those that stepped since another first did: the last weights are kept after the program's functions returned,
        # and yet a program that trains network after network gets its memory back.
        self._held: set[Optimizer] = set()
        self._kept_at = 0

    def made(self, optimizer: Optimizer) -> None:
        """Count an optimizer that the program made."""
        self._made[len(self._made) + 1] = weakref.ref(optimizer)

    def stepped(self, optimizer: Optimizer) -> None:
        """Count a step of an optimizer that the program made, and keep the weights where it is due."""
        known = self._find(optimizer) or self._meet(optimizer)
        if known is None:
            return  # one that wraps another, whose own step was counted
        self._held.add(optimizer)
        self.step += 1
        known.last = self.step
        if self._due(self.step):
            self.keep()

    def keep(self) -> None:
        """Keep the weights as they are now, unless they were kept at this step already."""
        if self._kept_at == self.step:
            return
        weights = {name: value for known in self._known for name, value in known.weights(len(self._made) > 1).items()}
        if not weights:
            return
        self._recorder.snapshot(self.step, weights)
        self._kept_at = self.step
        if self.diverged_at is None and not all(_is_finite(tensor) for tensor in weights.values()):
            self.diverged_at = self.step

    @property
    def in_turn(self) -> int:
        """How many optimizers stepped one after another; 0 where two took turns."""
        apart = all(one.last < other.first for one, other in pairwise(self._known))
        return len(self._known) if apart else 0

    def _find(self, optimizer: Optimizer) -> _Known | None:
        return next((known for known in reversed(self._known) if known.optimizer() is optimizer), None)

    def _meet(self, optimizer: Optimizer) -> _Known | None:
        number = next((number for number, made in self._made.items() if made() is optimizer), None)
        if number is None:
            return None
        parameters = parameters_of(optimizer)
        # Here another network may have come to its end, as in cross-validation: its last weights count too.
        if (len(self._known) < _ENDS or self._due(len(self._known))) and not self._are_known(parameters):
            self.keep()
        self._held.clear()
        names = parameter_names(parameters)
        self._known.append(_Known(weakref.ref(optimizer), number, names, self.step + 1))
        return self._known[-1]

    def _are_known(self, parameters: list[Tensor]) -> bool:
        """Whether another optimizer steps one of them too; then they have moved on since its last step."""
        known = {id(each) for one in self._known if (other := one.optimizer()) for each in parameters_of(other)}
        return any(id(parameter) in known for parameter in parameters)


def _is_finite(tensor: Tensor) -> bool:
    # The sum of finite numbers may overflow; only then each is looked at.
    return bool(tensor.detach().double().sum().isfinite()) or bool(torch.isfinite(tensor.detach()).all())
