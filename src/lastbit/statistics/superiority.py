"""The probability that a run of one recipe comes out above a run of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from lastbit.statistics.bisection import bisected
from lastbit.statistics.spread import COVERAGE, Table

_HALVINGS = 60


@dataclass(frozen=True)
class Superiority:
    """P(A > B) + P(A = B) / 2 for one run of each, both with seeds of their own, and its 95 % interval."""

    value: float
    lower: float
    upper: float


def superiority(a: Table | Sequence[Table], b: Table | Sequence[Table]) -> Superiority:
    """Estimate it by the share of pairs of runs in which a's is larger, ties counted half (Mann & Whitney's U / nm).

    The interval is Newcombe's (2006, Statistics in Medicine 25, 559-573, method 5): all θ with |θ̂ - θ| ≤ z √V(θ),
    V(θ) = θ (1 - θ) / nm · [1 + N* ((1 - θ) / (2 - θ) + θ / (1 + θ))] with N* = (n + m) / 2 - 1. It holds with a
    handful of runs, also where every run of a is larger than every run of b. It takes the samples as independent: with
    common seeds that move both recipes alike, it is too wide. So it is where seeds have several runs: seeds count alike
    then, and the interval is that of n and m seeds with one run each.

    Args:
        a: runs, shape (n,); or for each of n seeds its runs.
        b: runs, shape (m,); or for each of m seeds its runs.
    """
    (runs_a, weights_a), (runs_b, weights_b) = _weighted(a), _weighted(b)
    order = np.argsort(runs_b)  # not all pairs, of which many runs have too many to be kept
    runs_b, shares = runs_b[order], np.concatenate([[0.0], np.cumsum(weights_b[order])])
    below, upto = (shares[np.searchsorted(runs_b, runs_a, side)] for side in ("left", "right"))
    value = float(np.average((below + upto) / 2, weights=weights_a) / shares[-1])
    return Superiority(value, _bound(value, 0.0, len(a), len(b)), _bound(value, 1.0, len(a), len(b)))


def _weighted(seeds: Table | Sequence[Table]) -> tuple[Table, Table]:
    """All runs of all seeds, and the share that each has in its seed."""
    repeats = [np.atleast_1d(runs) for runs in seeds]
    counts = [len(runs) for runs in repeats]
    return np.concatenate(repeats), 1 / np.repeat(counts, counts)


def _bound(value: float, end: float, n: int, m: int) -> float:
    """The θ between the estimate and an end of [0, 1] at which the estimate is just z standard errors away."""
    z = float(special.ndtri((1 + COVERAGE) / 2))

    def is_near(theta: float) -> bool:
        """Whether the estimate is within z standard errors."""
        return bool(abs(value - theta) <= z * np.sqrt(_variance(theta, n, m)))

    return bisected(is_near, value, end, halvings=_HALVINGS)[0]


def _variance(theta: float, n: int, m: int) -> float:
    average = (n + m) / 2 - 1
    return theta * (1 - theta) / (n * m) * (1 + average * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
