"""Measurements over training as curves: one row each, with no more points than a page can carry."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.report.stored import Row


@dataclass(frozen=True)
class Curves:
    """Rows for Vega-Lite's flatten transform."""

    rows: list[dict[str, Any]]  # what a curve is called, with the lists `step` and `value`
    kept: int  # steps that are drawn
    measured: int  # steps that were measured
    missing: int  # values that were not finite, at any step

    @property
    def remark(self) -> str:
        """What is not drawn, as sentences to append; empty where everything is."""
        thinned = f" Drawn are {self.kept} of {self.measured} measured steps." if self.kept < self.measured else ""
        lost = f" {self.missing} value(s) that were not finite are left out." if self.missing else ""
        return thinned + lost

    @property
    def steps(self) -> list[int]:
        """The steps that are drawn, ascending."""
        return sorted({step for row in self.rows for step in row["step"]})

    @property
    def values(self) -> list[float]:
        """Every value that is drawn."""
        return [value for row in self.rows for value in row["value"]]


def gather(rows: Iterable[Row], name: Callable[[Row], dict[str, Hashable]], *, most_points: int) -> Curves:
    """Gather measurements into curves.

    Steps are thinned evenly, first and last kept, until all curves together have at most `most_points` points.

    Args:
        rows: each with `step` and `value`, in any order.
        name: what the curve of a row is called.
        most_points: of all curves; each keeps at least two.
    """
    measured = list(rows)
    finite = [row for row in measured if row["value"] is not None]
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in finite:
        found.setdefault(tuple(name(row).items()), []).append(row)
    steps = sorted({row["step"] for row in finite})
    kept = set(thin(steps, most_points // max(1, len(found))))
    curves = [dict(key) | _points(points, kept) for key, points in found.items()]
    return Curves(curves, len(kept), len(steps), len(measured) - len(finite))


def thin(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of the steps (at least two), evenly chosen by their place, first and last among them."""
    if len(steps) <= max(2, most):
        return list(steps)
    gaps = max(2, most) - 1
    return [steps[round(place * (len(steps) - 1) / gaps)] for place in range(gaps + 1)]


def last_rows(rows: Iterable[Row]) -> list[Row]:
    """The finite measurements at the last step that has any."""
    finite = [row for row in rows if row["value"] is not None]
    last = max((row["step"] for row in finite), default=None)
    return [row for row in finite if row["step"] == last]


def first_rows(rows: Iterable[Row]) -> list[Row]:
    """The finite measurements at the first step that has any."""
    finite = [row for row in rows if row["value"] is not None]
    first = min((row["step"] for row in finite), default=None)
    return [row for row in finite if row["step"] == first]


def _points(rows: Iterable[Row], kept: set[int]) -> dict[str, Any]:
    points = sorted((row["step"], row["value"]) for row in rows if row["step"] in kept)
    # Three digits are more than an eye reads off a curve, and a third of the bytes.
    return {"step": [step for step, _ in points], "value": [float(f"{value:.2e}") for _, value in points]}
