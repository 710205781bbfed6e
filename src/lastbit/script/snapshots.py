"""Snapshots of the weights of a program's optimizers, under the names that its modules give them."""

import gc
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lastbit.schedules import Schedule
from lastbit.script.shards import parts_of, write_parts
from lastbit.storage.files import sha256
from lastbit.study.recorder import Recorder
from lastbit.tensors import bits, is_split, local

_ENDS = 20  # networks trained one after another whose last weights are kept; of further ones at steps that are due


@dataclass
class _Known:
    """An optimizer that has stepped."""

    optimizer: weakref.ref[Optimizer]  # weak: a program may drop it, and its weights with it
    number: int  # of the optimizer among all that the program made, from 1
    names: list[str]  # of its parameters, as it had them when last looked at
    first: int  # step of the program
    last: int = 0

    def weights(self, several: bool) -> dict[str, Tensor]:
        """Its parameters by name, with its number in front where the program made several optimizers."""
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

    A step is one call of one optimizer's `step`: a program with two optimizers takes two for each round. Of weights
    that are split over processes, the part here is kept, and where it lies in the whole (`lastbit.script.shards`).

    Args:
        recorder: where they are kept.
        due: which steps.
        earlier: of the process that this one was forked from, whose optimizers this one has too.
    """

    def __init__(self, recorder: Recorder, due: Schedule, earlier: "Snapshots | None" = None) -> None:
        self.step = 0
        self.only_parts = False  # whether weights that are not split are another process's to keep
        self.diverged_at: int | None = None  # step of the first kept weights that were not finite
        self._recorder, self._due = recorder, due
        # number -> optimizer
        self._made: dict[int, weakref.ref[Optimizer]] = {} if earlier is None else dict(earlier._made)
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
        weights = self.weights()
        parts = parts_of(weights)
        if not weights or (self.only_parts and not parts):
            return
        here = {name: local(weight) for name, weight in weights.items() if name in parts or not self.only_parts}
        if parts:
            write_parts(self._recorder.directory, parts)
        self._recorder.snapshot(self.step, here)
        self._kept_at = self.step
        if self.diverged_at is None and not all(_is_finite(tensor) for tensor in here.values()):
            self.diverged_at = self.step

    def weights(self) -> dict[str, Tensor]:
        """The weights of all optimizers that stepped, by name."""
        several = len(self._made) > 1
        return {name: value for known in self._known for name, value in known.weights(several).items()}

    def digest(self) -> tuple[list[str], str]:
        """The names of the weights that are not split, and a hash of their shapes and bits."""
        kept = {name: weight for name, weight in sorted(self.weights().items()) if not is_split(weight)}
        content = "".join(f"{tuple(weight.shape)}{sha256(bits(weight))}" for weight in kept.values())
        return list(kept), sha256(content.encode())

    @property
    def in_turn(self) -> int:
        """How many optimizers stepped one after another; 0 where two took turns."""
        apart = all(earlier.last < later.first for earlier, later in pairwise(self._known))
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
        stepped = [optimizer for known in self._known if (optimizer := known.optimizer()) is not None]
        known = {id(parameter) for optimizer in stepped for parameter in parameters_of(optimizer)}
        return any(id(parameter) in known for parameter in parameters)


def _is_finite(tensor: Tensor) -> bool:
    # The sum of finite numbers may overflow; only then look at all of them.
    return bool(tensor.detach().double().sum().isfinite()) or bool(torch.isfinite(tensor.detach()).all())


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """The optimizer's parameters, group by group."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def parameter_names(parameters: Sequence[Tensor]) -> list[str]:
    """A distinct name for each parameter: what the module that holds most of them calls it, else its place.

    An optimizer does not know its parameters' names. The modules are found among the objects that Python's garbage
    collector knows; looking there changes nothing. Wrappers (compiled, parallel) hold the same parameters as what they
    wrap, so that of several modules with equally many the one with the shortest names is asked.

    Args:
        parameters: of one optimizer.
    """
    wanted = {id(parameter): place for place, parameter in enumerate(parameters)}
    names: dict[int, str] = {}
    asked = 0
    for held in _by_coverage(wanted):
        new = {place: name for place, name in held.items() if place not in names}
        asked += bool(new)
        names |= {place: name if asked == 1 else f"{name} ({asked})" for place, name in new.items()}
    every = [names.get(place, f"parameter {place}") for place in range(len(parameters))]
    return _distinct(every)


def _by_coverage(wanted: dict[int, int]) -> list[dict[int, str]]:
    """For each module that holds wanted parameters, place -> name there; the most complete first."""
    named = [
        {wanted[id(held)]: name for name, held in module.named_parameters() if id(held) in wanted}
        for module in _modules()
    ]
    # The last two keys make the choice the same in every run, whatever the order of objects in memory.
    return sorted(filter(None, named), key=lambda names: (-len(names), _length(names.values()), sorted(names.items())))


def _length(names: Iterable[str]) -> int:
    return sum(map(len, names))


def _modules() -> list[nn.Module]:
    # By type and not by isinstance, which would ask lazy proxies for their class and so wake them. A program may hold a
    # million objects, so Python looks at their types only and C at each of them.
    things = gc.get_objects()
    kinds = {kind for kind in set(map(type, things)) if issubclass(kind, nn.Module)}
    return list(compress(things, map(kinds.__contains__, map(type, things))))


def _distinct(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    chosen = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        chosen.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return chosen
