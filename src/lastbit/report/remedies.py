"""The page of a recipe's remedies: churn beside accuracy and cost, and the table of all that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Level
from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import capital, spread
from lastbit.report.page import Page, Section, Text, write_page
from lastbit.report.remedies_tables import SOURCES, RemediesJson, cost_table, remedies_table, spread_table
from lastbit.report.shape import Count, Interval, NonNegative, Positive, Real, Shape, checked

_ROW, _FRAME = 44, 30  # pixels for each treatment, and for all


class _Estimate(Shape):
    value: NonNegative
    interval: Interval | None
    change: Interval | None = None
    times_lower: NonNegative | None = None


class _BySource(Shape):
    last_bit: _Estimate | None
    batch_order: _Estimate | None


class _Cost(Shape):
    time: Positive | None
    memory: Positive | None
    time_interval: Interval | None = None


class _Treatment(Shape):
    name: str
    accuracy: Real | None
    churn: _BySource
    quality_spread: _BySource
    horizon: NonNegative | None
    horizon_reached: bool | None
    cost: _Cost
    diverged: Count
    spread: _Estimate | None = None  # this and the next: absent from older comparisons
    distance: NonNegative | None = None


class _Remedy(_Treatment):
    accuracy_difference: Real | None
    accuracy_change: Interval | None
    better: bool | None  # None where no margin was set


class _Names(Shape):
    last_bit: str
    batch_order: str


class RemediesShape(Shape):
    """A recipe's remedies against its baseline."""

    recipe: str
    metric: str
    decimals: Count = 2  # this and the next: absent from older comparisons
    unit: str = "points"  # of a difference of the metric
    sources: _Names
    seeds: Count
    steps: Count
    baseline: _Treatment
    remedies: list[_Remedy]
    notes: list[str]
    verdict: str


def write_remedies(content: RemediesJson, path: Path) -> None:
    """Write the HTML page; it opens offline and asks for nothing else.

    Args:
        content: as `lastbit.study.comparison.remedies_json` gives it.
        path: of the page; it is replaced in one step.

    Raises:
        LastbitError: it is something else.
    """
    found = checked(content, RemediesShape, "this is not a comparison of remedies")
    count = len(found["remedies"])
    page = Page(
        name="remedies",
        title=f"{found['recipe']}: what lowers churn",
        heading=f"{found['recipe']}: {count} {'remedy' if count == 1 else 'remedies'} against the baseline",
        header=[Section("", [Text(found["verdict"], "finding")], "verdict")],
        body=[
            *remedies_figures(found),
            remedies_table(found),
            cost_table(found),
            spread_table(found),
            *(Text(note, "note") for note in found["notes"]),
        ],
    )
    write_page(page, path)


def remedies_figures(content: RemediesJson) -> list[Figure]:
    """Churn with its intervals, and the churn by the last bit beside the change of accuracy and the cost."""
    return [_churn_figure(content), _accuracy_figure(content), _cost_figure(content)]


def _churn_figure(content: RemediesJson) -> Figure:
    names, treatments = content["sources"], [content["baseline"], *content["remedies"]]
    known = [
        (each["name"], capital(names[source]), each["churn"][source])
        for each in treatments
        for source in SOURCES
        if each["churn"][source] is not None
    ]
    title = _finding(content)
    if not known:
        return Figure("churn", "Churn is not known", "Too few finished runs kept their test predictions.")
    chart = dot_chart(
        [Dot(name, churn["value"], kind) for name, kind, churn in known],
        groups=[each["name"] for each in treatments],
        value=Axis("changed predictions (%)", name="churn", from_zero=True, format=".3~f"),
        kinds=[capital(names[source]) for source in SOURCES],
        upright=False,
        behind=[
            Span(name, churn["interval"][0], churn["interval"][1], kind)
            for name, kind, churn in known
            if churn["interval"]
        ],
        height=_ROW * len(treatments) + _FRAME,
    )
    note = "The share of test predictions in which two runs differ, with 95 % intervals over seeds where there are any."
    return Figure("churn", title, note, chart)


def _finding(content: RemediesJson) -> str:
    if all(row["better"] is None for row in content["remedies"]):
        return "Churn without and with each remedy"
    better = [row["name"] for row in content["remedies"] if row["better"]]
    if not better:
        return "No remedy is shown to lower churn at the same accuracy"
    return f"{', '.join(better)} {'lowers' if len(better) == 1 else 'lower'} churn at the same accuracy"


def _accuracy_figure(content: RemediesJson) -> Figure:
    rows = [{**content["baseline"], "accuracy_difference": 0.0}, *content["remedies"]]
    unit = f" ({content['unit']})" if content.get("unit", "points") else ""
    change = Axis(f"change of {content['metric']}{unit}", name="change")
    chart = _scatter(rows, "accuracy_difference", change, 0.0, content["sources"]["last_bit"])
    note = "To the left is less churn, above is more accuracy. Intervals are in the table."
    return Figure("accuracy", "Churn beside the change of accuracy", note, chart)


def _cost_figure(content: RemediesJson) -> Figure:
    rows = [{**each, "time": each["cost"]["time"]} for each in (content["baseline"], *content["remedies"])]
    time = Axis("time, baseline = 1", name="time")
    chart = _scatter(rows, "time", time, 1.0, content["sources"]["last_bit"])
    note = "To the left is less churn, below is less computing."
    return Figure("cost", "Churn beside the cost", note, chart)


def _scatter(rows: Sequence[Mapping[str, Any]], field: str, y: Axis, level: float, source: str) -> Chart | None:
    """A point for each treatment, its churn by the last bit, or what stands for it, to the right."""
    curves = [
        Curve(
            each["name"],
            [each["churn"]["last_bit"]["value"]],
            [each[field]],
            style="points",
            names={"memory": spread(each["cost"]["memory"], 2)},
        )
        for each in rows
        if each["churn"]["last_bit"] is not None and each[field] is not None
    ]
    if not curves:
        return None
    is_log = any(curve.x[0] > 0 for curve in curves)
    x = Axis(f"predictions that {source} changes (%)", name="churn", log=is_log, from_zero=True)
    return line_chart(curves, x=x, y=y, levels=[Level(level, "baseline")], marks="points")
