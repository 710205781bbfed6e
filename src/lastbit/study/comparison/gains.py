"""How many runs of each recipe a gain takes, and how surely the runs that there are would show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError
from lastbit.report.numbers import percent
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.study.comparison.recipes import RecipesComparison

if TYPE_CHECKING:
    from lastbit.study.comparison.comparison import Comparison


def check_gain(gain: float | None) -> None:
    """Refuse a gain that is none.

    Raises:
        LastbitError: it is not above 0, or not finite.
    """
    if gain is not None and not 0 < gain < float("inf"):
        raise LastbitError(f"gain {gain:g}: a gain must be above 0, in the unit of the metric")


def gain_of(found: Comparison | RecipesComparison, gain: float) -> dict[str, Any]:
    """The runs that a gain takes, as JSON holds them; of many recipes for each, and of several tasks for each task.

    Over several tasks together there is no such number: more runs do not make tasks more alike.

    Raises:
        LastbitError: the gain is not above 0, or not finite.
    """
    check_gain(gain)
    if not isinstance(found, RecipesComparison):
        runs = min(len(found.replicates.a), len(found.replicates.b))
        power = found.design.power(gain, runs) if found.design.std > 0 else None
        row = {"runs_needed": found.runs_needed(gain), "power": power, "runs": runs}
        return {"gain": gain, **row, "sentence": _sentence(f"{gain:g} {found.unit}".rstrip(), row)}
    compared: list[tuple[str | None, AgainstBaseline]]
    compared = [(task, row) for task, rows in found.tasks.items() for row in rows]
    compared = compared or [(None, row) for row in found.comparisons]
    rows = [{"task": task, "recipe": row.recipe, **_row(row, gain)} for task, row in compared]
    size = f"{gain:g} (in the unit of {found.metric or 'the runs'})"
    note = fraction_note(found.metric or "the metric", found.span, gain)
    return {"gain": gain, "recipes": rows, "sentence": f"{_of_all(size, rows)} {note}".rstrip()}


def fraction_note(metric: str, span: tuple[float, float], size: float) -> str:
    """That a margin or gain is in points of a percentage, and the metric looks like a fraction; empty if it is not so.

    Args:
        metric: its name.
        span: its smallest and largest value.
        size: the margin or gain; one as wide as all values can show nothing.
    """
    low, high = span
    if low < 0 or high > 1 or size < high - low:
        return ""
    points = f"{size:g} is {100 * size:g} points: for {size:g} points give {size / 100:g}"
    return f"{metric} looks like a fraction, of which {points}."


def _row(row: AgainstBaseline, gain: float) -> dict[str, Any]:
    if row.design is None:
        return {"runs_needed": None, "power": None, "runs": row.runs}
    return {"runs_needed": row.design.runs_needed(gain), "power": row.design.power(gain, row.runs), "runs": row.runs}


def _of_all(size: str, rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if row["power"] is not None]
    if len(known) < 2:
        return _sentence(size, (known or rows)[0])
    needed = sorted(row["runs_needed"] for row in known if row["runs_needed"] is not None)
    if not needed:
        return f"A gain of {size} takes more than a million runs of each recipe."
    ends = f"{needed[0]} to {needed[-1]}" if needed[0] < needed[-1] else f"{needed[0]}"
    most = "" if len(needed) == len(known) else ", and of some more than a million"
    return (
        f"A gain of {size} takes {ends} runs of each recipe{most}, each with its own seed (80 % power, at the level of "
        "the intervals that hold together)."
    )


def _sentence(size: str, row: dict[str, Any]) -> str:
    if row["power"] is None:
        return "How many runs a gain takes is not known: these runs do not vary."
    runs = "more than a million" if row["runs_needed"] is None else row["runs_needed"]
    return (
        f"A gain of {size} takes {runs} runs of each, each with its own seed (80 % power); {row['runs']} would show "
        f"it in {percent(row['power'])} of cases."
    )
