"""Curves and the levels that they are compared with: points, ends, labels, and how many points a page can carry."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import altair as alt
import numpy as np

from lastbit.report.charts.axes import FittedAxis
from lastbit.report.charts.figure import WIDTH, AnyChart
from lastbit.report.charts.look import MUTED
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


Corner: TypeAlias = Literal["left above", "right above", "left below", "right below"]  # of a level's line
CORNERS: tuple[Corner, ...] = get_args(Corner)
LABEL_PLACES = ("beyond", *CORNERS)  # "beyond": to the right of the picture, where no curve comes
_LABEL_HEIGHT, _LETTER, _SIDE_GAP, _SAMPLES = 18, 6.5, 8, 33


def level_rows(
    levels: Sequence[Level], curves: Sequence[Curve], x: FittedAxis, y: FittedAxis, *, inside: bool, height: int
) -> list[dict[str, Any]]:
    """The levels as a chart's data has them, each with the place of its label.

    Args:
        levels: the levels.
        curves: of the chart.
        x: its horizontal axis.
        y: its vertical axis.
        inside: whether labels stand inside the picture, where the fewest curves cross them.
        height: pixels of the drawing area.
    """
    return [
        {
            "level": level.value,
            "label": level.label,
            "corner": free_corner(level, curves, x, y, height=height) if inside else "beyond",
        }
        for level in levels
    ]


def level_labels(levels: alt.Chart, corner: str) -> AnyChart:
    """The labels of the levels that stand in one place.

    Args:
        levels: the chart of all levels, whose rows `level_rows` gives.
        corner: one of `LABEL_PLACES`.
    """
    side, _, height = corner.partition(" ")
    look: dict[str, Any] = {"align": "left", "dx": 5, "clip": False}
    if height:
        look = {"align": side, "dx": 4 if side == "left" else -2}
        look |= {"baseline": "bottom", "dy": -3} if height == "above" else {"baseline": "top", "dy": 3}
    place = alt.value(0 if side == "left" else "width")
    text: alt.Chart = levels.transform_filter(f"datum.corner === '{corner}'").mark_text(color=MUTED, **look)
    return text.encode(x=place, text="label:N")


def free_corner(level: Level, curves: Sequence[Curve], x: FittedAxis, y: FittedAxis, *, height: int) -> Corner:
    """Where inside a chart the label of a level is crossed least by curves.

    Args:
        level: the level.
        curves: of the chart.
        x: its horizontal axis.
        y: its vertical axis.
        height: pixels of the drawing area.
    """
    drawn = [np.array(curve.points(), dtype=float) for curve in curves if curve.points()]
    every = np.concatenate([*drawn, [[drawn[0][0, 0], level.value]]])
    (left, bottom), (right, top) = every.min(axis=0), every.max(axis=0)
    paths = [
        np.array([(x.share(a, left, right), y.share(b, bottom, top)) for a, b in points[points[:, 0].argsort()]])
        for points in drawn
    ]
    line, tall = y.share(level.value, bottom, top), _LABEL_HEIGHT / height
    wide = (_LETTER * len(level.label) + _SIDE_GAP) / WIDTH

    def crossed(corner: Corner) -> float:
        """At how many places the label would be crossed; infinity where it would leave the picture."""
        places = np.linspace(0.0, wide, _SAMPLES) if corner.startswith("left") else np.linspace(1 - wide, 1, _SAMPLES)
        low, high = (line, line + tall) if corner.endswith("above") else (line - tall, line)
        if not (low >= 0.0 and high <= 1.0):
            return math.inf
        heights = [np.interp(places, path[:, 0], path[:, 1], left=-1.0, right=-1.0) for path in paths]
        return float(sum(((low <= at) & (at <= high)).sum() for at in heights))

    return min(CORNERS, key=crossed)


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
