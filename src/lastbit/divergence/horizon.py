"""When twins have parted: the first step at which their distance is beyond a level."""

from collections.abc import Sequence


def horizon(distances: Sequence[float], steps: Sequence[int], *, level: float) -> int | None:
    """Return the first of the steps at which the distance is above the level, or None where it never is.

    A distance that is not finite, as where a training diverged, is beyond every level.

    Args:
        distances: after each of the steps.
        steps: ascending.
        level: such as a RelL1 of 1e-2.

    Raises:
        LastbitError: there are not as many distances as steps.
    """
    pairs = zip(steps, distances, strict=True)
    return next((step for step, distance in pairs if not distance <= level), None)
