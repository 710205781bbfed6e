"""Series in no more digits than mean something: results are kept as text, most of which is series."""

from collections.abc import Iterable


def rounded(values: Iterable[float], digits: int) -> list[float]:
    """Values to so many significant digits; what is not finite stays as it is."""
    return [float(f"{value:.{digits}g}") for value in values]
