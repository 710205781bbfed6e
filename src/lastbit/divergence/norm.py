"""The Euclidean norm in float64 that neither overflows nor loses what is tiny."""

import math
from collections.abc import Iterable

from torch import Tensor


def norm(values: Tensor) -> float:
    """‖values‖₂ in float64; NaN or inf where a value is."""
    flat = values.detach().double().flatten()
    largest = float(flat.abs().max()) if flat.numel() else 0.0
    # Divided by the largest first: the square of a single last bit near the smallest float64 would be zero, and the
    # square of a large weight infinite.
    return largest * float((flat / largest).norm()) if largest > 0 and math.isfinite(largest) else largest


def total(norms: Iterable[float]) -> float:
    """The norm of everything, from the norms of its parts."""
    return math.hypot(*norms)


def relative(difference: float, size: float) -> float:
    """Their ratio: 0 where nothing differs, inf where something differs from nothing, NaN where the difference is."""
    if difference == 0 or math.isnan(difference):
        return difference
    return difference / size if size else math.inf
