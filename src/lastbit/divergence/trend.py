"""The slope of a line through values whose errors add up from step to step, with an interval that knows it.

The logarithm of the distance between two runs of a dynamical system is n · λ, plus a random walk (local growth rates
vary along the path), plus a bounded fluctuation (the separation turns towards and away from the fastest direction):
the decomposition behind the central limit theorem for Lyapunov exponents (Gordin 1969). A least-squares line treats all
of it as independent error, and its interval is far too short: for a pure random walk of 60 steps it holds the truth in
15 % of cases where it promises 95 %.

With d the increments, h the gaps between steps and D the difference operator, d = λh + e has the covariance
σ² (q diag(h) + (1 − q) D Dᵀ): q = 1 is the random walk, q = 0 independent errors around a line. The level drops out,
so the likelihood of q is the restricted one. The interval averages over q by that likelihood, with most of the prior
weight on the random walk: where a short series cannot tell, the wider interval is the honest one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

Series = NDArray[np.float64]

LEVEL = 0.95
_RANDOM_WALK = 0.8  # prior weight of q = 1
_SHARES = np.sort(1 / (1 + np.geomspace(1e-3, 1e3, 25)))  # q between the extremes, evenly in the odds
_SMALLEST = 1e-12  # of a sum of squares of logarithms: below it lies rounding only


@dataclass(frozen=True)
class Trend:
    """A slope with its 95 % interval, per step."""

    rate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class _Fit:
    """The line for one composition of the error."""

    rate: float
    error: float  # standard error of the rate
    log_likelihood: float


def fit_trend(steps: Series, values: Series) -> Trend:
    """Slope of `values` against `steps`.

    Args:
        steps: increasing, shape (n,), n at least 3.
        values: finite, shape (n,).

    Raises:
        ValueError: fewer than three values.
    """
    if len(steps) < 3:
        raise ValueError(f"a slope with an interval needs at least 3 values, got {len(steps)}")
    gaps, increments = np.diff(steps), np.diff(values)
    unit = float(np.median(gaps))
    fits = [_fit(gaps / unit, increments, share) for share in (*_SHARES, 1.0)]
    prior = np.full(len(fits), (1 - _RANDOM_WALK) / len(_SHARES))
    prior[-1] = _RANDOM_WALK
    likelihood = np.array([fit.log_likelihood for fit in fits])
    weights = prior * np.exp(likelihood - likelihood.max())
    rate, lower, upper = _summary(fits, weights / weights.sum(), dof=len(increments) - 1)
    return Trend(rate / unit, lower / unit, upper / unit)


def _fit(gaps: Series, increments: Series, share: float) -> _Fit:
    banded = np.zeros((2, len(gaps)))
    banded[0, 1:], banded[1] = share - 1, share * gaps + 2 * (1 - share)
    factor = linalg.cholesky_banded(banded)
    solved = linalg.cho_solve_banded((factor, False), np.stack([gaps, increments], 1))
    information, along = gaps @ solved
    rate = along / information
    dof = len(gaps) - 1
    squares = max(float((increments - rate * gaps) @ (solved[:, 1] - rate * solved[:, 0])), _SMALLEST)
    half_log_determinant = float(np.log(factor[1]).sum())
    return _Fit(
        rate=float(rate),
        error=float(np.sqrt(squares / dof / information)),
        log_likelihood=-half_log_determinant - 0.5 * float(np.log(information)) - 0.5 * dof * float(np.log(squares)),
    )


def _summary(fits: list[_Fit], weights: Series, *, dof: int) -> tuple[float, float, float]:
    """Mean and central interval of the mixture of t distributions."""
    rates, errors = (np.array([getattr(fit, name) for fit in fits]) for name in ("rate", "error"))
    reach = float(special.stdtrit(dof, 1 - 1e-4) * errors.max())
    ends = float(rates.min()) - reach, float(rates.max()) + reach
    lower, upper = (
        float(optimize.brentq(lambda x, q=quantile: weights @ special.stdtr(dof, (x - rates) / errors) - q, *ends))
        for quantile in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    )
    return float(weights @ rates), lower, upper
