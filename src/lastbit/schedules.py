"""When something is measured or kept along training: callables from a step's number to True or False.

Any callable will do, a set's `{10, 20}.__contains__` among them. Those made here are plain data, so they travel to
other processes, and they combine: `every(1000) | log_spaced()` is due whenever one of the two is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from lastbit.errors import LastbitError, LastbitTypeError

Schedule = Callable[[int], bool]


class Combinable(ABC):
    """A schedule that `|` joins with any other."""

    @abstractmethod
    def __call__(self, step: int) -> bool:
        """Whether the step is due; step n is after the n-th update, step 0 before the first."""

    def __or__(self, other: Schedule) -> Either:
        return Either(self, other)

    def __ror__(self, other: Schedule) -> Either:
        return Either(other, self)


@dataclass(frozen=True)
class Either(Combinable):
    """Due when one of two schedules is."""

    first: Schedule
    second: Schedule

    def __post_init__(self) -> None:
        refuse_no_schedule(self.first)
        refuse_no_schedule(self.second)

    def __call__(self, step: int) -> bool:
        """Whether one of the two is due."""
        return bool(self.first(step)) or bool(self.second(step))


@dataclass(frozen=True)
class _Every(Combinable):
    n: int

    def __call__(self, step: int) -> bool:
        return step % self.n == 0


@dataclass(frozen=True)
class _LogSpaced(Combinable):
    per_decade: float

    def __call__(self, step: int) -> bool:
        if step < 1:
            return False
        # Rounding sends an interval around `step` to it, so only the two grid points next to `step` matter.
        below = math.floor(self.per_decade * math.log10(step))
        return any(round(10 ** (exponent / self.per_decade)) == step for exponent in (below, below + 1))


def every(n: int) -> Combinable:
    """Steps 0, n, 2n, ...

    Raises:
        LastbitError: n is not a positive integer.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise LastbitError(f"every({n!r}) is not allowed; give a positive integer, the steps from one to the next")
    return _Every(n)


def log_spaced(per_decade: float = 10) -> Combinable:
    """Steps evenly spaced in their logarithm: 10^(i / per_decade) rounded, for i = 0, 1, 2, ...

    By default 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, ...; step 0 has no logarithm and is not among them.

    Args:
        per_decade: steps from n to 10n, where they are far enough apart to differ once rounded.

    Raises:
        LastbitError: `per_decade` is not a positive number.
    """
    if isinstance(per_decade, bool) or not isinstance(per_decade, int | float) or not 0 < per_decade < math.inf:
        raise LastbitError(f"log_spaced({per_decade!r}) is not allowed; give a positive number of steps a decade")
    return _LogSpaced(per_decade)


def as_schedule(when: object) -> Schedule:
    """A schedule as it is; of a plain number of steps n, `every(n)`.

    Raises:
        LastbitTypeError: it is neither.
        LastbitError: the number is not positive.
    """
    if isinstance(when, int) and not isinstance(when, bool):
        return every(when)
    refuse_no_schedule(when)
    return cast(Schedule, when)


def refuse_no_schedule(schedule: object) -> None:
    """Refuse what cannot be asked about a step.

    Raises:
        LastbitTypeError: it is no callable; the message says what to write for a plain number.
    """
    if callable(schedule):
        return
    if isinstance(schedule, int) and not isinstance(schedule, bool):
        raise LastbitTypeError(f"{schedule} is no schedule; write lb.every({schedule})")
    raise LastbitTypeError(
        f"a {type(schedule).__name__} is no schedule; give a callable from a step to True or False, such as "
        "lb.every(100) or lb.log_spaced()"
    )
