"""Stochastic last-bit error: each updated weight moved by one unit in the last place with a probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt
from numbers import Real
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError
from lastbit.noise.noise import Noise, Option, nothing, whole_seed
from lastbit.noise.seeded import FIRST_SEEDS, NOISE_SEEDS, stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lastbit.optimizers.weights import Groups

_SHARD = 1 << 16  # streams of a shard: more than there are kinds of weights
USUAL_P = 0.03  # about the share of weights that the paper's k moves at each step of ordinary training
P = Option("p", float, f"For rounding and operations: the probability [{USUAL_P}].")


@dataclass(frozen=True)
class Rounding(Noise):
    """After each update, every weight that it changed moves to the next floating-point number with probability p.

    It moves up or down with equal chances, independently of all other weights and steps. This is the error that another
    machine, or another kernel for the same sum, makes in the last place of the result. A weight that an update left as
    it was is not moved: where nothing is computed (no gradient, or a step below half a unit), no machine makes an
    error. Masked or padded weights therefore keep their values. Zero, subnormal and non-finite results are not moved
    either (`lastbit.optimizers.weights`).

    Attributes:
        p: probability from 0, which is bit-identical to no noise, to 1.
        seed: of the draws, which the number of steps taken decides with it.

    Raises:
        LastbitError: p is no number from 0 to 1, or the seed no whole number from 0 to 2**63 - 1.
    """

    p: float
    seed: int

    kind = "rounding"
    help = "each update by one ulp with probability p"
    explanation = (
        "<p>The noise is an error in the last place of the optimizer’s results: after each update every weight that it "
        "changed moves with probability p to the next floating-point number above or below. p=0 is ordinary training; "
        "#1, #2, … are draws.</p>"
    )
    options = (NOISE_SEEDS, P)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", probability(self.p, "a weight"))
        object.__setattr__(self, "seed", whole_seed(self.seed))

    @property
    def label(self) -> str:
        """The noise in a word, for tables: `p=0.03 #1`."""
        return "p=0" if self.p == 0 else f"p={self.p:g} #{self.seed}"

    @property
    def is_exact(self) -> bool:
        """Whether it moves no weight."""
        return self.p == 0

    def baseline(self) -> Rounding:
        """The noise that moves no weight, p = 0."""
        return Rounding(0.0, 0)

    @classmethod
    def choose(cls, p: float = USUAL_P, noise_seeds: Sequence[int] = FIRST_SEEDS) -> list[Noise]:
        """The noise turned off, and then one for each seed.

        Raises:
            LastbitError: p is 0, which is the noise turned off.
        """
        refuse_no_move(p, "no weight")
        return [cls(0.0, 0), *(cls(p, seed) for seed in noise_seeds)]

    def prepare(self, groups: Groups, step: int) -> Callable[[], None]:
        """Choose weights and keep their values; return what moves those of them that the update changed."""
        if self.p == 0:
            return nothing
        from lastbit.optimizers.weights import disturbable_shards

        # Of weights that are split over processes, each shard has draws of its own.
        kinds: dict[tuple[int, torch.device, torch.dtype], list[Tensor]] = {}
        for (number, count), weights in disturbable_shards(groups).items():
            shard = number + 1 if count > 1 else 0
            for weight in weights:
                kinds.setdefault((shard, weight.device, weight.dtype.to_real()), []).append(weight)
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kind[1:] for kind in kinds))}
        chosen = [self._drawn(kinds[kind], step, kind[0] * _SHARD + numbers[kind[1:]]) for kind in kinds]

        def move() -> None:
            """Move the weights that the last step updated."""
            for weights in chosen:
                weights.move()

        return move

    def _drawn(self, weights: list[Tensor], step: int, part: int) -> _Chosen:
        """Choose among weights of one device and dtype, `part` counting such kinds."""
        import torch

        from lastbit.optimizers.weights import real

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
        import torch

        from lastbit.optimizers.weights import neighbour, put

        if not self.pairs:
            return
        after = _taken(self.pairs)
        moved = torch.where(after == self.before, after, neighbour(after, self.up))
        parts = torch.split(moved, [places.numel() for _, places in self.pairs])
        for (weight, places), values in zip(self.pairs, parts, strict=True):
            put(weight, places, values)


def _taken(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    import torch

    from lastbit.optimizers.weights import take

    return torch.cat([take(weight, places) for weight, places in pairs]) if pairs else torch.empty(0)


def probability(p: Any, moved: str) -> float:
    """Check a noise's probability.

    Args:
        p: is checked.
        moved: what it moves, in messages.

    Raises:
        LastbitError: it is no number from 0 to 1.
    """
    is_number = isinstance(p, Real) and not isinstance(p, bool)
    if not is_number or not 0 <= p <= 1:
        raise LastbitError(f"p is the probability of moving {moved}, a number from 0 to 1; got {p!r}")
    return float(p)


def refuse_no_move(p: float, moved: str) -> None:
    """Refuse p = 0 on the command line.

    Raises:
        LastbitError: p is 0, which is the noise turned off.
    """
    if p == 0:
        raise LastbitError(f"--p 0.0 moves {moved}, as the run that all others are compared with; give more than 0")


def successes(trials: int, p: float, generator: torch.Generator) -> Tensor:
    """Indices of the successes among independent trials of probability p.

    The distances between successes are geometrically distributed. They are drawn instead of the trials, so that the
    cost is in proportion to p.

    Args:
        trials: their number.
        p: above 0, at most 1.
        generator: decides the device too.

    Returns:
        int64 (successes,), ascending from 0, below `trials`.
    """
    import torch

    if p == 1:
        return torch.arange(trials, device=generator.device)
    # Six standard deviations above the mean: practically always enough, and where it is not more are drawn.
    draws = int(trials * p + 6 * sqrt(trials * p * (1 - p))) + 16
    drawn, last = [], -1
    while last < trials:
        distances = torch.empty(draws, dtype=torch.float64, device=generator.device)
        distances.geometric_(p, generator=generator).clamp_(max=trials + 1)  # a tiny p makes distances without end
        drawn.append(distances.long().cumsum_(0).add_(last))
        last = int(drawn[-1][-1])
    numbers = torch.cat(drawn)
    return numbers[: int(torch.searchsorted(numbers, trials))]


def successes_by_part(sizes: list[int], p: float, generator: torch.Generator) -> list[Tensor]:
    """The same for trials in consecutive parts of these sizes; each part's successes, counted from its own 0."""
    import torch

    ends = list(accumulate(sizes))
    numbers = successes(ends[-1], p, generator)
    bounds = torch.searchsorted(numbers, torch.tensor(ends, device=numbers.device)).tolist()
    counts = [end - start for start, end in zip([0, *bounds], bounds, strict=False)]
    starts = [0, *ends]
    return [part - start for part, start in zip(torch.split(numbers, counts), starts, strict=False)]
