"""How many runs of each recipe a gain takes, and how surely the runs that there are would show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastbit.report.numbers import count_range, percent
from lastbit.runs.columns import is_unbounded, says_result
from lastbit.statistics.power import check_size
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.study.comparison.recipes import RecipesComparison

if TYPE_CHECKING:
    from lastbit.study.comparison.comparison import Comparison

_SMALL = 0.1  # percentage points, of which a margin or a gain is seldom less


def gain_of(comparison: Comparison | RecipesComparison, gain: float) -> dict[str, Any]:
    """The runs that a gain takes, as JSON holds them; of many recipes for each, and of several tasks for each task.

    Over several tasks together there is no such number: more runs do not make tasks more alike.

    Raises:
        LastbitError: the gain is not above 0, or not finite.
    """
    check_size(gain, "gain", what="a gain")
    if not isinstance(comparison, RecipesComparison):
        runs = min(len(comparison.replicates.a), len(comparison.replicates.b))
        power = comparison.design.power(gain, runs) if comparison.design.std > 0 else None
        row = {"runs_needed": comparison.runs_needed(gain), "power": power, "runs": runs}
        return {"gain": gain, **row, "sentence": _sentence(f"{gain:g} {comparison.unit}".rstrip(), row)}
    compared: list[tuple[str | None, AgainstBaseline]]
    compared = [(task, row) for task, rows in comparison.tasks.items() for row in rows]
    compared = compared or [(None, row) for row in comparison.comparisons]
    rows = [{"task": task, "recipe": row.recipe, **_row(row, gain)} for task, row in compared]
    sentence = _of_all(f"{gain:g} (in the unit of {comparison.metric or 'the runs'})", rows)
    note = points_note(comparison.metric or "the metric", comparison.span, gain)
    known = any(row["power"] is not None for row in rows)
    return {"gain": gain, "recipes": rows, "sentence": f"{sentence} {note}".rstrip() if known else sentence}


def points_note(metric: str, span: tuple[float, float], size: float) -> str:
    """What a margin or a gain is in percentage points; empty where the metric does not look like a share of something.

    Args:
        metric: its name; of what has no upper end by its name, such as a loss, there are no percents.
        span: its smallest and largest value: from 0 to 1 they are taken for fractions, up to 100 for percents.
        size: the margin or gain; one as wide as all values, or tiny, was most likely meant in the other unit.
    """
    low, high = span
    if low < 0 or high > 100 or is_unbounded(metric) or (high > 1 and not says_result(metric)):
        return ""
    if high > 1:
        other = f"; for {_points(100 * size)} give {100 * size:g}" if size < _SMALL else ""
        return f"{metric} looks like percents, of which {size:g} is {size:g} percentage points{other}."
    other = f", as wide as all values; for {_points(size)} give {size / 100:g}" if size >= high - low else ""
    return f"{metric} looks like fractions, of which {size:g} is {100 * size:g} percentage points{other}."


def _points(size: float) -> str:
    return f"{size:g} point{'' if size == 1 else 's'}"


def _row(row: AgainstBaseline, gain: float) -> dict[str, Any]:
    if row.design is None:
        return {"runs_needed": None, "power": None, "runs": row.runs}
    return {"runs_needed": row.design.runs_needed(gain), "power": row.design.power(gain, row.runs), "runs": row.runs}


def _of_all(size: str, rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if row["power"] is not None]
    if not known:
        return f"How many runs a gain takes is not known: {_why_unknown(rows)}."
    if len(known) == 1:
        return _sentence(size, known[0])
    needed = [row["runs_needed"] for row in known if row["runs_needed"] is not None]
    if not needed:
        return f"A gain of {size} takes more than a million runs of each recipe."
    most = "" if len(needed) == len(known) else ", and of some more than a million"
    return (
        f"A gain of {size} takes {count_range(needed)} runs of each recipe{most}, each with its own seed (80 % power, "
        "at the level of the intervals that hold together)."
    )


def _sentence(size: str, row: dict[str, Any]) -> str:
    if row["power"] is None:
        return f"How many runs a gain takes is not known: {_why_unknown([row])}."
    runs = "more than a million" if row["runs_needed"] is None else f"{row['runs_needed']:,}"
    return (
        f"A gain of {size} takes {runs} runs of each, each with its own seed (80 % power); {row['runs']} would show "
        f"it in {percent(row['power'])} of cases."
    )


def _why_unknown(rows: list[dict[str, Any]]) -> str:
    """Why nothing is known of how far runs spread: there are no two to compare, or they are all alike."""
    if all(row["runs"] >= 2 for row in rows):
        return "these runs do not vary"
    whose = "a side" if len(rows) == 1 else "some recipes" if any(row["runs"] >= 2 for row in rows) else "each recipe"
    alike = ", and the others do not vary" if len(rows) > 1 and whose == "some recipes" else ""
    return f"a single run, or seed, of {whose} does not show how far runs spread{alike}"
