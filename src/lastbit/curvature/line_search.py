"""How far a step can be lengthened before it raises the loss, from few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

BRACKET = 1 / 16  # of the smaller end
TRIALS = 5  # beside the loss where the step begins
_MARGIN = 0.45 * BRACKET  # on either side of an interpolated crossing, so that the two ends make up a bracket
_COLD, _FAR = 2.0, 64.0  # how much longer the second trial is, and any trial than the longest before it


@dataclass(frozen=True)
class LineCrossing:
    """Where the change of a loss along a step passes from falling to rising.

    The first trials that part the two are taken; beyond `upper` the loss may fall again.
    """

    lower: float  # the longest multiple of the step, below `upper`, that did not raise the loss; 0: none
    upper: float  # the shortest multiple that raised it, or gave no finite loss; infinite: none
    changes: tuple[tuple[float, float], ...]  # multiples tried, in order, and the changes of the loss
    bracket: float  # wanted, of `lower`

    @property
    def converged(self) -> bool:
        """Whether the two ends are as close as wanted."""
        return self.upper <= self.lower * (1 + self.bracket)

    @property
    def multiple(self) -> float:
        """The crossing interpolated between the ends; `lower` or `upper` where the other end was not found."""
        if self.lower == 0 or math.isinf(self.upper):
            return self.lower or self.upper
        return _root(_slopes(self.changes), self.lower, self.upper) or math.sqrt(self.lower * self.upper)


def crossing(
    change: Callable[[float], float],
    *,
    start: float = 1.0,
    known: bool = False,
    trials: int = TRIALS,
    bracket: float = BRACKET,
) -> LineCrossing:
    """Bracket the largest f at which change(f) = L(w + f step) - L(w) is not positive.

    On a quadratic change(f) / f is linear in f, so that two trials tell where it vanishes and two more enclose that
    place; each further trial interpolates anew. A loss that is not finite counts as raised.

    Args:
        change: evaluates the loss once.
        start: first multiple to be tried.
        known: whether it is a crossing found before, beside which to look first.
        trials: most evaluations.
        bracket: wanted distance of the two ends, relative to the lower one.
    """
    seen: list[tuple[float, float]] = []
    multiple = start * (1 - _MARGIN) if known else start
    found = LineCrossing(0.0, math.inf, (), bracket)
    for _ in range(trials):
        value = change(multiple)
        seen.append((multiple, value if math.isfinite(value) else math.inf))
        upper = min((at for at, risen in seen if risen > 0), default=math.inf)
        lower = max((at for at, risen in seen if risen <= 0 and at < upper), default=0.0)
        found = LineCrossing(lower, upper, tuple(seen), bracket)
        if found.converged:
            break
        multiple = _second(found, known) if len(seen) == 1 else _next(found)
    return found


def _second(found: LineCrossing, known: bool) -> float:
    longer = (1 + _MARGIN) / (1 - _MARGIN) if known else _COLD
    return found.lower * longer if found.lower else found.upper / longer


def _next(found: LineCrossing) -> float:
    """The next multiple to be tried: just on the other side of where the crossing seems to lie."""
    lower, upper = found.lower, found.upper
    root = _root(_slopes(found.changes), lower, upper)
    if math.isinf(upper):
        return min(root or math.inf, _FAR * lower) * (1 + _MARGIN)
    if lower == 0:
        return max(root or 0.0, upper / _FAR) * (1 - _MARGIN)
    if root is not None:
        trial = root * (1 - _MARGIN) if root / lower > upper / root else root * (1 + _MARGIN)
        if lower < trial < upper:
            return trial
    return math.sqrt(lower * upper)


def _slopes(changes: tuple[tuple[float, float], ...]) -> dict[float, float]:
    """Change / multiple, of trials with a finite loss."""
    return {at: value / at for at, value in changes if math.isfinite(value)}


def _root(slopes: dict[float, float], lower: float, upper: float) -> float | None:
    """Where the slope vanishes, by a line through the two trials next to there, or a curve through three.

    None where that gives nothing from `lower` to `upper`.
    """
    places = sorted(slopes, key=lambda at: abs(slopes[at]))[:3]
    for count in (3, 2):
        points = [(slopes[at], at) for at in places[:count]]
        if len(points) == count and len({slope for slope, _ in points}) == count:
            root = _at_zero(points)
            if 0 < root < math.inf and lower <= root <= upper:
                return root
    return None


def _at_zero(points: list[tuple[float, float]]) -> float:
    """The polynomial through (x, y) points at x = 0 (Lagrange)."""
    total = 0.0
    for place, (x, y) in enumerate(points):
        others = [other for number, (other, _) in enumerate(points) if number != place]
        total += y * math.prod(other / (other - x) for other in others)
    return total
