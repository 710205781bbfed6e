"""The tables of a recipe's, or a script's, remedies: what each does, what it costs, how far the last bit carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from lastbit.report.numbers import MISSING, number, points, signed
from lastbit.report.table import Cell, Table

RemediesJson: TypeAlias = Mapping[str, Any]  # as `remedies_json` gives it
SOURCES = ("last_bit", "batch_order")


def remedies_table(content: RemediesJson) -> Table:
    """Accuracy and churn of each treatment, with intervals as small lines, and whether it is better."""
    names, decimals = content["sources"], content.get("decimals", 2)
    columns = ["", f"{content['metric']}", "change", *(f"churn by {names[source]}" for source in SOURCES)]
    note = "Churn is in percent. Small lines are 95 % intervals over seeds; those of a change hold for all together."
    rows = [
        [
            Cell(each["name"], small=f"{each['diverged']} diverged" if each["diverged"] else ""),
            number(each["accuracy"], decimals),
            _change(each, decimals),
            *(_with_interval(each["churn"][source]) for source in SOURCES),
        ]
        for each in (content["baseline"], *content["remedies"])
    ]
    if any(each["better"] is not None for each in content["remedies"]):
        columns.append("better")
        note += " Better: less churn by one of the two and no more by the other, at the same accuracy, beyond doubt."
        for row, each in zip(rows[1:], content["remedies"], strict=True):
            row.append("yes" if each["better"] else "not shown")
        rows[0].append("")
    return Table("remedies", "What each remedy does", columns, rows, note)


def cost_table(content: RemediesJson) -> Table:
    """What each treatment costs, its horizon, and the spread of quality that an unlimited test set would show."""
    names = content["sources"]
    columns = ["", "time", "memory", "horizon", *(f"quality spread by {names[source]}" for source in SOURCES)]
    note = (
        "Time (computing) and memory are ratios to the baseline. Horizon: the step at which two runs that differ in "
        f"{names['last_bit']} are 1e-2 apart in relative weight distance, the median over pairs. Quality spread: "
        "the standard deviation between runs that an unlimited test set would show, in points."
    )
    rows = [
        [
            each["name"],
            Cell(number(each["cost"]["time"], 2), small=_range(each["cost"].get("time_interval"))),
            number(each["cost"]["memory"], 2),
            _horizon(each, content),
            *(_with_interval(each["quality_spread"][source]) for source in SOURCES),
        ]
        for each in (content["baseline"], *content["remedies"])
    ]
    return Table("cost", "What each remedy costs", columns, rows, note)


def spread_table(content: RemediesJson) -> Table:
    """How far runs come apart that differ in the last bit alone: in the metric, and in the weights at the end."""
    cause = content["sources"]["last_bit"]
    columns = ["", f"{content['metric']} spread by {cause}", "final weight distance"]
    note = (
        "Spread: the standard deviation between runs of one seed, pooled over seeds, with its 95 % interval. "
        "Distance: the relative weight distance of two such runs at the last kept step, the median over pairs."
    )
    rows = [
        [each["name"], _spread_cell(each.get("spread")), _distance(each.get("distance"))]
        for each in (content["baseline"], *content["remedies"])
    ]
    return Table("spread", "How far the last bit carries", columns, rows, note)


def _spread_cell(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return MISSING
    low, high = estimate["interval"]
    return Cell(f"{estimate['value']:.2g}", small=f"{low:.2g} to {high:.2g}")


def _distance(distance: float | None) -> str:
    return MISSING if distance is None else f"{distance:.1e}"


def _change(each: Mapping[str, Any], decimals: int) -> str:
    """The change of accuracy; empty for the baseline."""
    if "accuracy_difference" not in each:
        return ""
    return Cell(
        signed(each["accuracy_difference"], decimals), small=_range(each["accuracy_change"], decimals, write=signed)
    )


def _with_interval(estimate: Mapping[str, Any] | None) -> str:
    return MISSING if estimate is None else Cell(points(estimate["value"]), small=_range(estimate["interval"]))


def _range(interval: Sequence[float] | None, decimals: int = 2, *, write: Callable[[float, int], str] = number) -> str:
    return "" if interval is None else " to ".join(write(end, decimals) for end in interval)


def _horizon(each: Mapping[str, Any], content: RemediesJson) -> str:
    if each["horizon_reached"] is None:
        return MISSING
    return f"{each['horizon']:,.0f}" if each["horizon_reached"] else f">{content['steps']:,}"
