"""How many steps apart growth rates must be to be independent of each other."""

import numpy as np

from lastbit.divergence.trend import Series

_WINDOWS = 8
_SHORTEST_WINDOW = 16  # increments: fewer have no autocorrelation worth estimating
_FEWEST = 48  # values that thinning leaves, for the bends must still be found


def stride(values: Series) -> int:
    """Take every so-manieth value, and neighbouring increments are nearly uncorrelated.

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
