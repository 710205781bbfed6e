"""How fast a pair of runs parts, and where it leaps: the shape of what is stored, and its words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.divergence import stays_apart
from lastbit.report.numbers import MISSING, scientific
from lastbit.report.shape import Count, NonNegative, Positive, Real, Shape

_MOST_JUMPS = 3  # named in a row


class SegmentShape(Shape):
    """Steps of one rate."""

    first: Count
    last: Count
    rate: Real
    lower: Real | None
    upper: Real | None
    factor: NonNegative | None


class JumpShape(Shape):
    """A step that makes the distance leap."""

    step: Count
    before: Count
    factor: Positive


class LevelShape(Shape):
    """Where a distance stays."""

    since: Count
    level: NonNegative


def growing(segments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The stretches whose rate is above zero with its whole interval."""
    return [segment for segment in segments if segment["lower"] is not None and segment["lower"] > 0]


def fastest(segments: Sequence[Mapping[str, Any]], saturation: Mapping[str, Any] | None) -> str:
    """The stretch of the largest rate whose interval excludes zero, in words; a dash where there is none.

    Args:
        segments: of a pair.
        saturation: of the pair. A level may drift by less than half; what belongs to it is no growth.
    """
    until = math.inf if saturation is None else saturation["since"]
    candidates = [segment for segment in growing(segments) if segment["first"] < until]
    if not candidates:
        return MISSING
    best = max(candidates, key=lambda segment: float(segment["rate"]))
    return (
        f"{best['rate']:.2g} per step ({best['lower']:.2g} to {best['upper']:.2g}), "
        f"steps {best['first']:,} to {best['last']:,}"
    )


def jumps(leaps: Sequence[Mapping[str, Any]]) -> str:
    """The largest of the leaps: `×46 at step 16 (blocks.1.1.bias)`."""
    if not leaps:
        return "none"
    largest = sorted(leaps, key=lambda jump: -float(jump["factor"]))[:_MOST_JUMPS]
    rest = f"; {len(leaps) - len(largest)} smaller" if len(leaps) > len(largest) else ""
    return "; ".join(jump_words(jump) for jump in sorted(largest, key=lambda jump: int(jump["step"]))) + rest


def jump_words(jump: Mapping[str, Any]) -> str:
    """One jump: its factor, where it is, and the tensor that leapt most."""
    step, before = jump["step"], jump["before"]
    place = f"at step {step:,}" if step == before + 1 else f"between steps {before:,} and {step:,}"
    return f"×{jump['factor']:.0f} {place}" + (f" ({jump['layer']})" if jump.get("layer") else "")


def level(saturation: Mapping[str, Any] | None) -> str:
    """Where the distance stopped growing."""
    return MISSING if saturation is None else f"{scientific(saturation['level'])} since step {saturation['since']:,}"


def stay_apart(jumps: Sequence[Mapping[str, Any]], distances: Mapping[int, float]) -> bool:
    """Whether a pair jumps and is still far apart at the last step, rather than back where it was.

    Args:
        jumps: of the pair.
        distances: RelL1 by step; empty where it was not measured.
    """
    if not distances:
        return bool(jumps)
    last = distances[max(distances)]
    return any(stays_apart(distances.get(jump["before"], 0.0), last) for jump in jumps)
