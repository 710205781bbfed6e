"""Reads a stored series."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lastbit.errors import LastbitError
from lastbit.files import to_json

Series = Mapping[str, Any]  # as `sharpness.json` holds it
Row = Mapping[str, Any]  # one measurement of it
_KEYS = frozenset(
    {
        "recipe",
        "rows",
        "losses",
        "rises",
        "finding",
        "every",
        "steps",
        "k",
        "layers",
        "flow",
        "flow_rtol",
        "images",
        "seed",
        "edge",
    }
    | {"measured_images", "full_batch", "batch_norm", "parameters", "arithmetic"}
)


def as_stored(series: Series) -> Series:
    """A series as it is once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: a part that a series has is missing.
    """
    if missing := sorted(_KEYS - series.keys()):
        raise LastbitError(f"this is no sharpness series: it lacks {', '.join(missing)}")
    stored: Series = json.loads(to_json(dict(series)))
    return stored


def measured(series: Series) -> list[Row]:
    """The rows that hold a measurement."""
    return [row for row in series["rows"] if row["sharpness"] is not None]


def diverged_at(series: Series) -> int | None:
    """The step of the first loss that was not finite; None where all were."""
    return next((row["step"] for row in series["rows"] if row["diverged"]), None)
