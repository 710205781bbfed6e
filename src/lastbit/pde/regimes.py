"""The three regimes of the activation (paper, section 5.4 and table 3): who is where, and what bounds each.

An output position is *transitioning* while |beta z| <= 1, *activated* above and *not activated* below: the tangent
of r' at 0, 1/2 + beta z / 2, reaches r' = 1 at beta z = 1 and r' = 0 at beta z = -1, so these are the kinks of the
piecewise linear r' that the three linear PDEs describe.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lastbit.pde.correlation import Correlation

Array = NDArray[np.floating]

ACTIVATIONS = ("activated", "transitioning", "not activated")


def regime_shares(response: Array, beta: float, correlation: Correlation) -> Array:
    """Return the shares of output positions in each of `ACTIVATIONS`, shape (..., 3), which sum to 1.

    Args:
        response: z at the distinct output positions, (..., U).
        beta: Swish's steepness.
        correlation: where the responses come from; it knows how often each occurs.
    """
    scaled = beta * response
    activated, not_activated = correlation.total(scaled > 1.0), correlation.total(scaled < -1.0)
    transitioning = correlation.positions - activated - not_activated
    return np.stack([activated, transitioning, not_activated], axis=-1) / correlation.positions
