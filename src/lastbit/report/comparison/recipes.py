"""The page of many recipes against a baseline: one chart of which differences are real, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lastbit.report.charts.figure import Figure
from lastbit.report.comparison.intervals_chart import cut_note, intervals_chart
from lastbit.report.comparison.recipes_stored import RecipesJson, as_recipes
from lastbit.report.comparison.recipes_tables import (
    BETTER,
    WORSE,
    differences_table,
    examples_tables,
    gain_tables,
    kind_of,
    of_task,
    over_all_tables,
    recipes_table,
)
from lastbit.report.page import Page, Section, Text, write_page

_NOISE = "by more than noise"
_LINES = (
    "Thin lines are 95 % intervals that hold for all recipes together, thick ones each hold alone: a difference is "
    "real where the thin line misses 0."
)
_MOST = 30  # recipes that the chart shows


def write_comparison(content: RecipesJson, path: Path) -> None:
    """Write the HTML page of a comparison, of two recipes or of many; it opens offline and asks for nothing else.

    Args:
        content: as `Comparison.as_json` or `RecipesComparison.as_json` gives it.
        path: of the page; it is replaced in one step.

    Raises:
        LastbitError: it is no comparison.
    """
    if "comparisons" in content:
        write_page(recipes_page(as_recipes(content)), path)
        return
    from lastbit.report.comparison.page import comparison_page  # only here: studies come with torch
    from lastbit.report.comparison.stored import as_compared

    write_page(comparison_page(as_compared(content)), path)


def comparison_figures(content: RecipesJson) -> list[Figure]:
    """The charts of a comparison, of two recipes or of many, in the order of reading."""
    if "comparisons" in content:
        return _figures(content)
    from lastbit.report.comparison.page import two_figures

    return two_figures(content)


def recipes_page(content: RecipesJson) -> Page:
    """The page of what `as_recipes` gives."""
    count = len(content["comparisons"])
    heading = f"{count} recipe{'s' if count != 1 else ''} against {content['baseline']}"
    return Page(
        name="compare",
        title=f"{heading} – which differences are real",
        heading=heading,
        header=[Section("", [Text(content["verdict"], "finding")], "verdict")],
        body=[
            *_figures(content),
            *over_all_tables(content),
            *(differences_table(content, task) for task in content["tasks"]),
            recipes_table(content),
            *examples_tables(content),
            *gain_tables(content),
            *(Text(note, "note") for note in content["notes"]),
        ],
    )


def _figures(content: RecipesJson) -> list[Figure]:
    """The differences; of tasks that have no average, those of each."""
    if not content.get("no_average"):
        return [differences_figure(content)]
    return [
        replace(figure, name=f"{figure.name}-{at + 1}", title=f"{task['task']}: {figure.title}")
        for at, task in enumerate(content["tasks"])
        for figure in [differences_figure(of_task(content, task))]
    ]


def differences_figure(content: RecipesJson) -> Figure:
    """The difference of each recipe from the baseline with both its intervals, the largest first."""
    drawn = [row for row in content["comparisons"] if row["interval_simultaneous"] is not None]
    if not drawn:
        return _examples_figure(content)
    better = "lower" if content["lower_is_better"] else "higher"
    shown = _shown(drawn, content)
    note = f"{content['metric']}: recipe minus {content['baseline']}; {better} is better. {_LINES}"
    if content["within"] is not None:
        note += f" The grey band is the margin, ± {content['within']:g}: a recipe is the same within it where the thin "
        note += "line stays inside."
    if len(shown) < len(drawn):
        note += f" Shown are {len(shown)} of {len(drawn)}: the largest differences."
    note += cut_note(shown, content)
    scope = "over tasks like these, by more than noise" if "task" not in content and content["tasks"] else _NOISE
    return Figure("differences", _finding(drawn, content, scope=scope), note, intervals_chart(shown, content))


def _examples_figure(content: RecipesJson) -> Figure:
    """The differences over other examples, where single runs leave nothing else to draw."""
    drawn = [
        {"recipe": row["recipe"], "same": None} | row["over_examples"]
        for row in content["comparisons"]
        if row.get("over_examples") and row["over_examples"].get("interval_simultaneous")
    ]
    if not drawn:
        return Figure("differences", "No difference has an interval", "It takes recipes with runs that vary.")
    note = (
        f"{content['metric']}: recipe minus {content['baseline']}, over other examples like these, with the same runs. "
        f"{_LINES} How far other runs would lie is not known."
    )
    title = _finding(drawn, content, scope="over other examples, with these runs")
    shown = _shown(drawn, content)
    return Figure("differences", title, note + cut_note(shown, content), intervals_chart(shown, content))


def _finding(drawn: Sequence[Mapping[str, Any]], content: RecipesJson, *, scope: str) -> str:
    kinds = [kind_of(row, content) for row in drawn]
    better, worse, count = kinds.count(BETTER), kinds.count(WORSE), len(drawn)
    if count == 1:
        finding = "is better than" if better else "is worse than" if worse else "does not differ from"
        return f"{drawn[0]['recipe']} {finding} {content['baseline']}{',' if better or worse else ''} {scope}"
    if better == worse == 0:
        return f"None of {count} recipes differs from {content['baseline']} {scope}"
    parts = [f"{number} {word}" for number, word in ((better, "better"), (worse, "worse")) if number]
    verb = "is" if (better or worse) == 1 else "are"
    first, *second = parts
    words = f"{first.split()[0]} of {count} recipes {verb} {first.split()[1]} than {content['baseline']}"
    return f"{words}{f' and {second[0]}' if second else ''}, {scope}"


def _shown(drawn: Sequence[Mapping[str, Any]], content: RecipesJson) -> list[Mapping[str, Any]]:
    better = 1 if content["lower_is_better"] else -1  # the best on top
    kept = sorted(drawn, key=lambda row: (not row["real"], -abs(row["difference"])))[:_MOST]
    return sorted(kept, key=lambda row: better * row["difference"])
