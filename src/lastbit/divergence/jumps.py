"""Jumps: single steps in which the distance between two runs leaps by orders of magnitude, and which tensor did."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lastbit.divergence.trend import Series

_NEIGHBOURS = 3  # measurements on each side, whose median growth a jump must exceed
_APART = 10.0  # the least factor of a jump, by default


@dataclass(frozen=True)
class Jump:
    """A leap of the distance between two measurements that follow each other."""

    before: int  # step of the last measurement before it
    step: int  # step of the first after it; `before` + 1 where every step was measured
    factor: float  # the distance after over the distance before


def find_jumps(steps: Series, values: Series, *, factor: float) -> list[int]:
    """Indices of the values that follow a jump.

    A jump multiplies the distance by `factor` beyond the median growth of the three measurements on each side, so that
    a fast but steady growth is none.

    Args:
        steps: increasing, shape (n,).
        values: natural logarithms of the distance, finite, shape (n,).
        factor: above 1.
    """
    gaps, increments = np.diff(steps), np.diff(values)
    rates = increments / gaps
    excess = [increment - gaps[i] * _usual(rates, i) for i, increment in enumerate(increments)]
    return [i + 1 for i, beyond in enumerate(excess) if beyond >= np.log(factor) and increments[i] >= np.log(factor)]


def _usual(rates: Series, place: int) -> float:
    around = np.concatenate([rates[max(0, place - _NEIGHBOURS) : place], rates[place + 1 : place + 1 + _NEIGHBOURS]])
    return max(0.0, float(np.median(around))) if len(around) else 0.0


def leapt_most(before: Mapping[str, float], after: Mapping[str, float]) -> str | None:
    """The tensor whose distance grew by the largest factor; None where none grew from a distance above 0.

    A tensor without a difference before, or that was not there, has no factor and is passed over, unless all are such;
    then it is the one with the largest distance. A training may drop one network and make another.

    Args:
        before: name of the tensor -> its distance before the jump.
        after: the same after it.
    """
    finite = {name: value for name, value in after.items() if math.isfinite(value)}
    factors = {name: value / before[name] for name, value in finite.items() if before.get(name, 0.0) > 0}
    if factors:
        return max(factors, key=lambda name: factors[name])
    appeared = {name: value for name, value in finite.items() if value > 0}
    return max(appeared, key=lambda name: appeared[name], default=None)


def stays_apart(before: float, last: float) -> bool:
    """Whether two runs that jumped are still apart at the end, rather than back where they were.

    Args:
        before: their distance before the jump.
        last: their distance at the end; at least ten times the former where they stay apart.
    """
    return last >= _APART * before
