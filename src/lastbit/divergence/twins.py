"""Two networks trained in lock-step, and how far apart they are after every step."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lastbit.divergence.activation_sides import activation_sides, are_reordered, differing_sides
from lastbit.divergence.chance import differ_by_chance, drawing_modules, passes_of
from lastbit.divergence.distances import RelativeL2, rel_l1, relative_l2
from lastbit.divergence.growth import Growth, growth
from lastbit.divergence.segmentation import Jump, leapt_most
from lastbit.errors import LastbitError, LastbitTypeError


@dataclass(frozen=True)
class JumpOrigin:
    """What made a distance jump."""

    tensor: str | None  # the one whose difference grew by the largest factor
    flips: dict[str, int]  # module -> activations on different sides of a kink in the step, where there are any


@dataclass(frozen=True)
class History:
    """Distances between twins after each step, and the activations that differed in it."""

    steps: tuple[int, ...]  # 1, 2, 3, ...
    rel_l1: tuple[float, ...]  # of all weights, after each step
    relative_l2: tuple[float, ...]  # ‖w − w′‖ / ‖w′‖ of all weights, w′ the first twin's
    norms: dict[str, tuple[float, ...]]  # name of the tensor -> ‖δ‖ = ‖w − w′‖ after each step
    sides: dict[str, tuple[int, ...]]  # module -> activations on different sides of a kink, in each step's passes
    activations: int  # with kinks, in one step; 0 where the network has none

    @property
    def flips(self) -> tuple[int, ...]:
        """Activations of all modules on different sides in the forward passes of each step; all 0 without kinks."""
        return tuple(map(sum, zip(*self.sides.values(), strict=True))) if self.sides else (0,) * len(self.steps)

    def growth(self, *, jump: float = 10.0) -> Growth:
        """Growth of the relative L2 distance; arguments as for `lastbit.divergence.growth`."""
        return growth(self.relative_l2, self.steps, jump=jump)

    def origin(self, jump: Jump) -> JumpOrigin:
        """What made these twins' distance jump."""
        before, after = self.steps.index(jump.before), self.steps.index(jump.step)
        tensor = leapt_most(*({name: norms[i] for name, norms in self.norms.items()} for i in (before, after)))
        counts = {module: sum(step[before + 1 : after + 1]) for module, step in self.sides.items()}
        return JumpOrigin(tensor, {module: count for module, count in counts.items() if count})

    def flips_at(self, step: int) -> dict[str, int]:
        """Module -> activations on different sides of a kink in the passes of a step, where there are any."""
        place = self.steps.index(step)
        return {module: counts[place] for module, counts in self.sides.items() if counts[place]}

    def amplification(self) -> NDArray[np.float64]:
        """‖δ_t‖ / ‖δ_{t−1}‖ of each tensor at each step, shape (tensors, steps − 1).

        Rows are in the order of `norms`, the first column belongs to the second step. NaN where a tensor had no
        difference before, or where a difference is not finite.
        """
        norms = np.array(list(self.norms.values())).reshape(len(self.norms), len(self.steps))
        before = np.where((norms[:, :-1] > 0) & np.isfinite(norms[:, :-1]), norms[:, :-1], np.nan)
        after = np.where(np.isfinite(norms[:, 1:]), norms[:, 1:], np.nan)
        ratio: NDArray[np.float64] = after / before
        return ratio


class Twins:
    """Watches two networks that are trained on the same batches, step by step.

        twins = Twins(model, other)
        for inputs, targets in batches:
            with twins.step():
                train(model, inputs, targets)
                train(other, inputs, targets)
        twins.history().growth()

    Networks in `DataParallel` or `DistributedDataParallel` are watched inside it. Twins that draw different random
    numbers in their forward passes, as with dropout, part by chance: one warning says so.

    Args:
        model: the distance is relative to its weights.
        other: of the same architecture; its dtype and its device may differ.

    Raises:
        LastbitError: their parameters differ in names or shapes, they share parameters that train, or one is compiled.
        LastbitTypeError: one of them is not a network.
    """

    def __init__(self, model: nn.Module, other: nn.Module) -> None:
        self.model, self.other = inside(model), inside(other)
        _check_apart(self.model, self.other)
        self._warned = False
        self._rel_l1: list[float] = []
        self._relative_l2: list[float] = []
        self._norms: dict[str, list[float]] = {name: [] for name, _ in self.model.named_parameters()}
        self._sides: list[dict[str, int]] = []
        self._activations = 0
        self._distances()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Watch the forward passes of one step of both in the block, then compare the weights.

        Raises:
            LastbitError: they did not run the same activations.
        """
        with (
            activation_sides(self.model) as sides,
            activation_sides(self.other) as others,
            passes_of(self.model) as passes,
            passes_of(self.other) as others_passes,
        ):
            yield
        if not self._warned and differ_by_chance(passes, others_passes):
            self._warned = True
            warnings.warn(_chance(self.model), stacklevel=3)
        self._sides.append(differing_sides(others, sides))
        if not self._warned and are_reordered(others, sides):
            self._warned = True
            warnings.warn(_REORDERED, stacklevel=3)
        self._activations = sum(taken.numel() for seen in sides.values() for taken in seen)
        relative, mean = self._distances()
        self._rel_l1.append(mean)
        self._relative_l2.append(relative.value)
        for name, norm in relative.norms.items():
            self._norms[name].append(norm)

    def history(self) -> History:
        """The distances and activations of all steps so far."""
        modules = dict.fromkeys(module for step in self._sides for module in step)
        return History(
            steps=tuple(range(1, len(self._rel_l1) + 1)),
            rel_l1=tuple(self._rel_l1),
            relative_l2=tuple(self._relative_l2),
            norms={name: tuple(norms) for name, norms in self._norms.items()},
            sides={module: tuple(step.get(module, 0) for step in self._sides) for module in modules},
            activations=self._activations,
        )

    def _distances(self) -> tuple[RelativeL2, float]:
        weights, reference = (dict(network.named_parameters()) for network in (self.other, self.model))
        return relative_l2(weights, reference), rel_l1(weights, reference).value


_REORDERED = (
    "the twins were given the same samples in different orders: the distances of their weights hold, but activations "
    "are compared sample by sample, so those counted as flipped are not"
)
_NAMED = 3  # modules that a message names


def inside(network: nn.Module) -> nn.Module:
    """The network inside its wrappers, which train the same parameters under other names.

    Raises:
        LastbitTypeError: it is no network.
        LastbitError: it is compiled.
    """
    if not isinstance(network, nn.Module):
        raise LastbitTypeError(f"twins are two networks, torch.nn.Modules; got {type(network).__name__}")
    while isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        network = network.module
    if hasattr(network, "_orig_mod"):
        raise LastbitError(
            "a twin is compiled (torch.compile), and what runs inside it cannot be watched: give Twins the network "
            "itself and run that; weights of compiled networks are compared by lastbit.divergence.relative_l2"
        )
    return network


def _check_apart(model: nn.Module, other: nn.Module) -> None:
    """Refuse twins that are one network; parameters that do not train may be shared."""
    own = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    shared = [name for name, parameter in other.named_parameters() if id(parameter) in own]
    if model is other or shared:
        what = "are the same network" if model is other else f"share parameters, such as {shared[0]!r}"
        raise LastbitError(f"the twins {what}, so nothing can part them: train a copy, copy.deepcopy(model)")


def _chance(network: nn.Module) -> str:
    names = drawing_modules(network)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    where = f" ({', '.join(names[:_NAMED])}{more})" if names else ""
    return (
        f"the twins draw random numbers in their forward passes{where}, and not the same ones: they part by chance, "
        "not by rounding. Train without dropout, or call torch.manual_seed with the same number before each twin's pass"
    )
