"""What a series of measurements says, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EDGE = 2.0  # in units of the normalised sharpness


def finding(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say where the sharpness reaches the edge and where it stays then.

    Reaching is certain, up to rounding, since a Rayleigh quotient is never above the largest eigenvalue; staying below
    is said of `upper`, which holds unless an eigenvalue was missed (see `lastbit.curvature.Sharpness`).

    Args:
        rows: of `Row.as_json`, by ascending step; None for what is not finite.
    """
    measured = [row for row in rows if row["normalised"] is not None]
    said = _course(measured) if measured else "Nothing could be measured"
    end = rows[-1] if rows else None
    return f"{said}; training diverges at step {end['step']:,}" if end and end["diverged"] else said


def _course(rows: Sequence[Mapping[str, Any]]) -> str:
    beyond = [index for index, row in enumerate(rows) if row["normalised"] >= EDGE]
    if not beyond:
        return _below(rows)
    first = rows[beyond[0]]
    at = f"at step {first['step']:,}"
    start = f"Sharpness is beyond the edge {at}" if beyond[0] == 0 else f"Sharpness reaches the edge {at}"
    later = [row["normalised"] for row in rows[beyond[0] + 1 :]]
    if not later:
        return f"{start}, at {first['normalised']:.3g} where 2 is the edge"
    if len(later) == 1:
        return f"{start}, and is at {later[0]:.3g} at last, where 2 is the edge"
    return f"{start} and then moves between {min(later):.3g} and {max(later):.3g}, where 2 is the edge"


def _below(rows: Sequence[Mapping[str, Any]]) -> str:
    top = max(rows, key=lambda row: float(row["normalised"]))
    where = f"at most {top['normalised']:.3g}, at step {top['step']:,}, where 2 is the edge"
    if any(row["upper"] >= row["edge"] for row in rows):
        return f"Sharpness comes up to the edge, within its error bound: {where}"
    return f"Sharpness stays below the edge: {where}"
