"""The slope of a line through values whose errors add up from step to step, with an interval that knows it.

The logarithm of the distance between two runs of a dynamical system is n · λ, plus a random walk (local growth rates
vary along the path), plus a bounded fluctuation (the separation turns towards and away from the fastest direction):
the decomposition behind the central limit theorem for Lyapunov exponents (Gordin 1969). A least-squares line treats all
of it as independent error, and its interval is far too short: for a pure random walk of 60 steps it holds the truth in
15 % of cases where it promises 95 %.

So the slope is the mean of the increments, and what its error depends on is their long-run variance. That is estimated
by the equal-weighted cosine estimator: the mean square of the increments' coefficients along the B slowest cosines,
which are independent of their mean, and have the long-run variance as their own wherever errors change faster than
these cosines do. The interval has Student's quantile of B degrees of freedom, exact for a random walk whatever B;
B = 0.4 m^(2/3) of m increments is the choice of Lazarus, Lewis, Stock and Watson (2018, J. Bus. Econ. Stat. 36).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.errors import LastbitError

Series = NDArray[np.float64]

COVERAGE = 0.95
_WINDOWS = 8
_SHORTEST_WINDOW = 16  # increments: fewer have no autocorrelation worth estimating
_FEWEST = 48  # values that thinning leaves, since the bends must still be found
_FEWEST_COSINES = 2  # with one, Student's quantile is 12.7 and the interval is useless
_SMALLEST = 1e-12  # of a mean square of logarithms: below it lies rounding only


@dataclass(frozen=True)
class Trend:
    """A slope with its 95 % interval, per step."""

    rate: float
    lower: float
    upper: float


def fit_trend(steps: Series, values: Series) -> Trend:
    """Slope of `values` against `steps`.

    Args:
        steps: increasing, shape (n,), n at least 3.
        values: finite, shape (n,).

    Raises:
        LastbitError: fewer than three values.
    """
    if len(steps) < 3:
        raise LastbitError(f"a slope with an interval needs at least 3 values, got {len(steps)}")
    gaps, increments = np.diff(steps), np.diff(values)
    count = len(gaps)
    cosines = min(max(_FEWEST_COSINES, round(0.4 * count ** (2 / 3))), count - 1)
    # Divided by √gap the increments of a random walk have one variance, and its slope lies along the vector √gap.
    coefficients = _basis(gaps, cosines).T @ (increments / np.sqrt(gaps))
    rate = float(increments.sum() / gaps.sum())
    variance = max(float(np.mean(coefficients[1:] ** 2)), _SMALLEST)
    reach = float(special.stdtrit(cosines, (1 + COVERAGE) / 2) * np.sqrt(variance / gaps.sum()))
    return Trend(rate, rate - reach, rate + reach)


def _basis(gaps: Series, cosines: int) -> Series:
    """Orthonormal columns: √gap, and as many slow cosines made orthogonal to it, shape (m, 1 + cosines)."""
    places = (np.arange(len(gaps)) + 0.5) / len(gaps)
    columns = np.cos(np.pi * np.outer(places, np.arange(1 + cosines))) * np.sqrt(gaps)[:, None]
    basis: Series = np.linalg.qr(columns)[0]
    return basis


def stride(values: Series) -> int:
    """The stride at which values are thinned so that neighbouring increments are nearly uncorrelated.

    It is the integrated autocorrelation time, 1 + 2 Σ ρ, of the increments, summed up to the first negative ρ (Geyer
    1992), in each of eight windows; the median of these, since a bend or a jump in one window says nothing of the rest.
    A series that is sampled more finely than its errors change (a flow with a small time step, a training whose batches
    differ little) would otherwise pass for one with many independent errors, and its interval would be too short.

    Args:
        values: evenly spaced, shape (n,).
    """
    increments = np.diff(values)
    windows = min(_WINDOWS, len(increments) // _SHORTEST_WINDOW)
    if windows == 0:
        return 1
    times = [_autocorrelation_time(part) for part in np.array_split(increments, windows)]
    return int(np.clip(np.ceil(np.median(times) - 0.5), 1, max(1, len(values) // _FEWEST)))


def _autocorrelation_time(increments: Series) -> float:
    centred = increments - increments.mean()
    variance = centred @ centred
    if variance <= 1e-24 * (increments @ increments):
        return 1.0  # all the same but for rounding
    correlations = np.correlate(centred, centred, "full")[len(centred) :] / variance
    negative = np.flatnonzero(correlations < 0)
    return float(1 + 2 * correlations[: negative[0] if len(negative) else None].sum())
