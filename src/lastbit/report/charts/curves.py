"""Curves and their reference values: points, ends, and how many of them a page can carry."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from lastbit.report.numbers import thin

DistanceRow: TypeAlias = Mapping[str, Any]  # with `step` and `value`, which is None where it was not finite
Style: TypeAlias = Literal["line", "dashed", "points"]
_DIGITS = 5  # of a drawn value: more than an eye reads off a curve, and a third of the bytes


@dataclass(frozen=True)
class Curve:
    """A named curve. Curves of one name share their colour."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]  # as many; None, for what is not finite, is left out
    ended: bool = False  # whether it ends because it left the picture or diverged: a cross is drawn at its end
    style: Style = "line"
    band: tuple[Sequence[float], Sequence[float]] | None = None  # lower and upper ends of an interval around y
    names: Mapping[str, Any] = field(default_factory=dict)  # further names that identify it, shown under the pointer

    def points(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if y is not None]

    def row(self, *, banded: bool) -> dict[str, Any]:
        """The curve as a chart's data has it, in lists: a row for each point would be five times as much to parse.

        Args:
            banded: whether a curve of the chart has a band; Vega then needs both of its ends of every curve.
        """
        points = self.points()
        row = {"curve": self.label, "style": self.style, **self.names}
        row |= {"x": [short(x) for x, _ in points], "y": [short(y) for _, y in points]}
        if banded:
            low, high = self.band or ((), ())
            row |= {"low": [short(value) for value in low], "high": [short(value) for value in high]}
        return row


def cut(label: str, x: Sequence[float], y: Sequence[float | None], *, cap: float = math.inf) -> Curve:
    """A curve up to its first value that is beyond the cap or None, that is, not finite."""
    shown = list(itertools.takewhile(lambda value: value is not None and abs(value) <= cap, y))
    return Curve(label, x[: len(shown)], shown, ended=len(shown) < len(y))


@dataclass(frozen=True)
class Level:
    """A value that curves are compared with: a dashed line across the picture, with its label."""

    value: float
    label: str


@dataclass(frozen=True)
class CurveChoice:
    """A list from which a reader picks the curve that stands out; the others are drawn behind it."""

    label: str  # before the list
    first: str  # picked at the beginning


def short(value: float) -> float:
    """A value in the digits that are drawn."""
    return float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True)
class Thinned:
    """The curves, and what was left out of them."""

    curves: list[Curve]
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
    def vary(self) -> bool:
        """Whether there is a value that is not zero, so that a logarithmic axis has something to show."""
        return any(value for curve in self.curves for value in curve.y)


def gather(
    rows: Iterable[DistanceRow],
    names: Callable[[DistanceRow], Mapping[str, Hashable]],
    *,
    label: str,
    most_points: int,
) -> Thinned:
    """Gather measurements into curves.

    Steps are thinned evenly, first and last kept, until all curves together have at most `most_points` points.

    Args:
        rows: in any order.
        names: what identifies the curve of a row.
        label: the one of these names that decides the colour.
        most_points: of all curves; each keeps at least two.
    """
    measured = list(rows)
    finite = [row for row in measured if row["value"] is not None]
    groups: dict[tuple[tuple[str, Hashable], ...], list[DistanceRow]] = {}
    for row in finite:
        groups.setdefault(tuple(names(row).items()), []).append(row)
    steps = sorted({row["step"] for row in finite})
    kept = set(thin(steps, most_points // max(1, len(groups))))
    curves = [_curve(dict(key), label, points, kept) for key, points in groups.items()]
    return Thinned(curves, len(kept), len(steps), len(measured) - len(finite))


def _curve(names: dict[str, Any], label: str, rows: Iterable[DistanceRow], kept: set[int]) -> Curve:
    points = sorted((row["step"], row["value"]) for row in rows if row["step"] in kept)
    # Three digits are more than an eye reads off a curve of thousands of points, and a third of the bytes.
    values = [float(f"{value:.2e}") for _, value in points]
    return Curve(str(names[label]), [step for step, _ in points], values, names=names)


def last_rows(rows: Iterable[DistanceRow]) -> list[DistanceRow]:
    """The finite measurements at the last step that has any."""
    finite = [row for row in rows if row["value"] is not None]
    last = max((row["step"] for row in finite), default=None)
    return [row for row in finite if row["step"] == last]


def first_rows(rows: Iterable[DistanceRow]) -> list[DistanceRow]:
    """The finite measurements at the first step that has any."""
    finite = [row for row in rows if row["value"] is not None]
    first = min((row["step"] for row in finite), default=None)
    return [row for row in finite if row["step"] == first]
