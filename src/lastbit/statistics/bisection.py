"""Bisection between a place where something holds and one where it does not."""

from collections.abc import Callable


def bisected(holds: Callable[[float], bool], inside: float, outside: float, *, halvings: int) -> tuple[float, float]:
    """The last place that was seen to hold, and the nearest beyond it that was seen not to.

    `scipy.optimize` would do it too, but takes half a second to import.

    Args:
        holds: whether it does at a place.
        inside: where it holds; it is not asked.
        outside: where it does not; above or below.
        halvings: of the distance between the two.
    """
    for _ in range(halvings):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside, outside
