"""Reads a stored series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastbit.report.shape import checked
from lastbit.report.sharpness.shape import SeriesShape

Series = Mapping[str, Any]  # as `sharpness.json` holds it
Row = Mapping[str, Any]  # one measurement of it


def as_stored(series: Series) -> Series:
    """A series as it is once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: it is of another shape than a series has.
    """
    return checked(series, SeriesShape, "this is no sharpness series")


def measured(series: Series) -> list[Row]:
    """The rows that hold a measurement."""
    return [row for row in series["rows"] if row["sharpness"] is not None]


def diverged_at(series: Series) -> int | None:
    """The step of the first loss that was not finite; None where all were."""
    return next((row["step"] for row in series["rows"] if row["diverged"]), None)
