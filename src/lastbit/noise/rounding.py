"""Stochastic last-bit error: each updated weight moved by one unit in the last place with a probability."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from lastbit.errors import LastbitError
from lastbit.noise.bernoulli import successes_by_part
from lastbit.noise.followed import Following, nothing
from lastbit.noise.last_place import neighbour
from lastbit.noise.stream import stream, whole_seed
from lastbit.noise.unperturbed import Unperturbed
from lastbit.noise.weights import Groups, disturbable, put, real, take


@dataclass(frozen=True)
class Rounding(Following):
    """After each update, every weight that it changed moves to the next floating-point number with probability p.

    Up or down with equal chances, every weight and step independently: the error that another machine, or another
    kernel for the same sum, makes in the last place of the result. A weight that an update left as it was is not moved,
    for where nothing is computed (a weight without a gradient, a step below half a unit) no machine errs, and masked or
    padded weights stay what they are. Zero, subnormal and not finite results are not moved either
    (`lastbit.noise.last_place`).

    Attributes:
        p: probability from 0, which is bit-identical to no noise, to 1.
        seed: of the draws, which the number of steps taken decides with it.

    Raises:
        LastbitError: p is no number from 0 to 1, or the seed no whole number from 0 to 2**63 - 1.
    """

    p: float
    seed: int

    def __post_init__(self) -> None:
        if not isinstance(self.p, Real) or isinstance(self.p, bool) or not 0 <= self.p <= 1:
            raise LastbitError(f"p is the probability of moving a weight, a number from 0 to 1; got {self.p!r}")
        object.__setattr__(self, "p", float(self.p))
        object.__setattr__(self, "seed", whole_seed(self.seed))

    @property
    def label(self) -> str:
        """The noise in a word, for tables: `p=0.03 #1`."""
        return "p=0" if self.p == 0 else f"p={self.p:g} #{self.seed}"

    @property
    def is_exact(self) -> bool:
        """Whether it moves no weight."""
        return self.p == 0

    def as_json(self) -> dict[str, str | int | float]:
        """Plain data that `noise_from_json` reads back."""
        return {"kind": "rounding", "p": self.p, "seed": self.seed}

    def baseline(self) -> "Rounding":
        """The noise that moves no weight, p = 0."""
        return Rounding(0.0, 0)

    def controls(self) -> "dict[str, tuple[Rounding, Rounding | Unperturbed]]":
        """Pairs that must agree bit for bit: this noise and itself, and p = 0 with no noise at all."""
        return {"repeat": (self, self), "null": (self.baseline(), Unperturbed())}

    def prepare(self, groups: Groups, step: int) -> Callable[[], None]:
        """Choose weights and keep their values; return what moves those of them that the update changed."""
        if self.p == 0:
            return nothing
        kinds: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
        for weight in disturbable(groups):
            kinds.setdefault((weight.device, weight.dtype.to_real()), []).append(weight)
        chosen = [self._choose(weights, step, part) for part, weights in enumerate(kinds.values())]

        def move() -> None:
            """Move the weights that the last step updated."""
            for each in chosen:
                each.move()

        return move

    def _choose(self, weights: list[Tensor], step: int, part: int) -> "_Chosen":
        """Choose among weights of one device and dtype, `part` counting such kinds."""
        generator = stream(self.seed, step, device=weights[0].device, part=part)
        drawn = successes_by_part([real(weight).numel() for weight in weights], self.p, generator)
        pairs = [(weight, places) for weight, places in zip(weights, drawn, strict=True) if places.numel()]
        up = torch.rand(sum(places.numel() for _, places in pairs), generator=generator, device=generator.device) < 0.5
        return _Chosen(pairs, _taken(pairs), up)


@dataclass(frozen=True)
class _Chosen:
    """The weights that will move if the update changes them. Neither a copy of the rest nor draws for it are needed."""

    pairs: list[tuple[Tensor, Tensor]]  # a tensor of weights, and the places chosen in it
    before: Tensor  # (chosen,) values before the update, tensor after tensor
    up: Tensor  # (chosen,) bool

    def move(self) -> None:
        """Move those that changed."""
        if not self.pairs:
            return
        after = _taken(self.pairs)
        moved = torch.where(after == self.before, after, neighbour(after, self.up))
        parts = torch.split(moved, [places.numel() for _, places in self.pairs])
        for (weight, places), values in zip(self.pairs, parts, strict=True):
            put(weight, places, values)


def _taken(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    return torch.cat([take(weight, places) for weight, places in pairs]) if pairs else torch.empty(0)
