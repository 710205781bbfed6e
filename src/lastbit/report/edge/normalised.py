"""Normalised sharpness against its edge."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.pde.lines import Curve, Level, cut

NORMALISED = "learning rate × sharpness"
EDGE = Level(2.0, "edge: 2")


def sharpness_curve(label: str, run: Mapping[str, Any]) -> Curve:
    """A run's `sharpness`, with its `step` and `normalised`, as a curve."""
    return cut(label, run["sharpness"]["step"], run["sharpness"]["normalised"])


def largest(run: Mapping[str, Any]) -> float:
    """The largest normalised sharpness that was measured."""
    return float(max(value for value in run["sharpness"]["normalised"] if value is not None))
