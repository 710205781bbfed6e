"""How far single runs spread, each with a seed of its own, where seeds have several runs and their means are compared.

With y[k, s] = μ + S_s + N_ks the mean over the K runs of a seed has the variance var(S) + var(N) / K, and a single run
has var(S) + var(N). So the spread of such means promises too much of runs with a seed each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from lastbit.statistics.means import largest, variance
from lastbit.statistics.power import Design
from lastbit.statistics.spread import Table, pooled, spread


@dataclass(frozen=True)
class RecipeRuns:
    """The finished runs of a recipe: one value for each seed, the mean of its runs."""

    name: str
    values: Table  # (seeds,), finite; (runs,) where the seeds are unknown
    # Of `values`; None where they are unknown, and nothing can be paired. A value whose own is None is in no pair.
    seeds: tuple[str | int | None, ...] | None = None
    repeats: tuple[Table, ...] | None = None  # the runs behind each value, (runs of the seed,); None where it is one

    @property
    def std(self) -> float:
        """Standard deviation of a single run with a seed of its own; NaN for fewer than two seeds."""
        return sqrt(variance(self.values) + self.lost()) if len(self.values) > 1 else nan

    def at(self, seeds: Sequence[str | int]) -> Table:
        """The values at these seeds, in their order."""
        return self.values[self._places(seeds)]

    def lost(self, seeds: Sequence[str | int] = ()) -> float:
        """The variance that a single run has beyond the values at these seeds, or at all where none is named."""
        return averaged_away(self.repeats or (), [len(runs) for runs in self.single_runs(seeds)])

    def single_runs(self, seeds: Sequence[str | int] = ()) -> Sequence[Table]:
        """The runs of each of these seeds, or of all where none is named, shapes (runs,)."""
        repeats = self.repeats or self.values[:, None]
        return [repeats[place] for place in self._places(seeds)] if seeds else list(repeats)

    def _places(self, seeds: Sequence[str | int]) -> list[int]:
        places = {seed: place for place, seed in enumerate(self.seeds or ())}
        return [places[seed] for seed in seeds]


def averaged_away(repeats: Iterable[Table], compared: Sequence[int]) -> float:
    """The variance that a single run has beyond the means of seeds: var(N) (1 - mean of 1 / K).

    Args:
        repeats: the runs of each seed, shapes (K,), from all of which var(N) is pooled; 0 where none has two.
        compared: the K of the seeds whose means are compared.
    """
    noise = pooled(estimate for runs in repeats if (estimate := spread(runs)) is not None)
    return 0.0 if noise is None else float(noise.std**2 * (1 - np.mean(1 / np.asarray(compared))))


def single_runs_design(a: Table, b: Table, lost: tuple[float, float], *, paired: bool) -> Design:
    """What single runs with a different seed each would show, by the spread of these; std 0 where nothing varies.

    Args:
        a: the means of one recipe's seeds, shape (n,).
        b: those of the other, shape (m,).
        lost: `averaged_away` of each.
        paired: whether a[i] and b[i] share their seed.
    """
    scale = largest(a, b)
    if paired:
        return Design(sqrt(variance(a - b, scale) + sum(lost)))
    variances = variance(a, scale) + lost[0], variance(b, scale) + lost[1]
    total = sum(variances)
    return Design(sqrt(total), variances[0] / total if total > 0 else 0.5)
