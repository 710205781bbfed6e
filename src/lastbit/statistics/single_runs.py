"""How far single runs spread, each with a seed of its own, where seeds have several runs and their means are compared.

With y[k, s] = μ + S_s + N_ks the mean over the K runs of a seed has the variance var(S) + var(N) / K, and a single run
has var(S) + var(N). So the spread of such means promises too much of runs with a seed each.
"""

from collections.abc import Iterable, Sequence
from math import sqrt

import numpy as np

from lastbit.statistics.means import variance
from lastbit.statistics.power import Design
from lastbit.statistics.spread import Table, pooled, spread


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
    scale = float(max(np.abs(a).max(), np.abs(b).max()))
    if paired:
        return Design(sqrt(variance(a - b, scale) + sum(lost)))
    variances = variance(a, scale) + lost[0], variance(b, scale) + lost[1]
    total = sum(variances)
    return Design(sqrt(total), variances[0] / total if total > 0 else 0.5)
