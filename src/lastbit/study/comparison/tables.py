"""Compares the recipes of a table of runs with one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lastbit.errors import LastbitError
from lastbit.report.numbers import joined
from lastbit.runs.notice import said_units
from lastbit.runs.numbers import LARGEST
from lastbit.runs.table import RunTable
from lastbit.statistics.best import best_recipe
from lastbit.statistics.over_tasks import against_baseline_by_task, against_baseline_over_tasks, task_means
from lastbit.statistics.power import SIGNIFICANCE
from lastbit.statistics.recipes import AgainstBaseline, against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.study.comparison.baseline import check_margin, find_baseline
from lastbit.study.comparison.far_runs import far_runs
from lastbit.study.comparison.findings import Findings
from lastbit.study.comparison.gains import points_note
from lastbit.study.comparison.over_examples import OverExamples, over_examples
from lastbit.study.comparison.recipes import RecipesComparison, RecipeSummary, shown_decimals
from lastbit.study.comparison.tasks import less_by_task, other_units, sentences_on_tasks, task_notes
from lastbit.study.comparison.unpaired import unpaired_by_task, unpaired_notes


def compare_runs(
    table: RunTable, *, baseline: str | float | None = None, within: float | None = None
) -> RecipesComparison:
    """Compare the recipes of a table of runs with one of them.

    A seed that a recipe ran more than once counts once, by its mean. With several tasks, each is compared by itself,
    and over them with tasks as a random effect.

    Args:
        table: as `read_runs` gives it.
        baseline: the recipe that the others are compared with; by default the first in the file.
        within: margin of equivalence, in the unit of the metric.

    Raises:
        LastbitError: there is one recipe only, or none of the baseline's name.
    """
    check_margin(within)
    _refuse_incomparable(table)
    names = table.recipes
    base = find_baseline(names, baseline)
    compare_tasks = _over_several if len(table.tasks) > 1 else _of_one_task
    values = table.frame["value"].to_numpy()
    span = float(values.min()), float(values.max())
    parts, notes = compare_tasks(table, names, base, within)
    far = far_runs(table)
    rest = {} if far is None else compare_tasks(far.rest, names, base, within)[0]
    return RecipesComparison(
        metric=table.metric,
        lower_is_better=table.lower_is_better,
        by=table.by,
        baseline=names[base],
        within=within,
        notes=(
            *([] if within is None else [_margin_note(table.metric, span, within)]),
            *([] if far is None else [far.note(_sentences(rest, names[base], table.lower_is_better))]),
            *notes,
            *(note for note in table.notes if far is None or not far.units or not note.startswith(far.units)),
        ),
        span=span,
        rest=rest.get("comparisons", ()),
        **parts,
    )


def _sentences(parts: Mapping[str, Any], baseline: str, less: bool) -> list[str]:
    """What is found without the runs that lie far from the others."""
    if parts["no_average"]:
        return sentences_on_tasks(parts["tasks"], parts["less_by_task"], baseline)
    rows = parts["comparisons"]
    findings = Findings(
        comparisons=rows,
        baseline=baseline,
        lower_is_better=less,
        decimals=shown_decimals(rows),
        tasks=len(parts["tasks"]),
    )
    return findings.sentences


def _margin_note(metric: str, span: tuple[float, float], within: float) -> str:
    note = (
        f"The margin, {within:g}, is in the unit of {metric} as the table has it. {points_note(metric, span, within)}"
    )
    return note.rstrip()


def _of_one_task(
    table: RunTable, names: Sequence[str], base: int, within: float | None
) -> tuple[dict[str, Any], list[str]]:
    """What differs between tables with one task and with several, and its notes."""
    less = table.lower_is_better
    runs = [_runs(table, name, None) for name in names]
    comparisons = against_baseline(runs, baseline=base, lower_is_better=less, within=within)
    examples, left_out = _over_examples(table, [None], baseline=names[base])
    return {
        "recipes": tuple(_summary(run.name, [run], table) for run in runs),
        "comparisons": tuple(comparisons),
        "best": best_recipe(runs, comparisons, lower_is_better=less),
        "best_by_task": {},
        "tasks": {},
        "less_by_task": {},
        "no_average": "",
        "examples": examples,
    }, [*unpaired_notes(runs, comparisons), *left_out]


def _over_several(
    table: RunTable, names: Sequence[str], base: int, within: float | None
) -> tuple[dict[str, Any], list[str]]:
    tasks, less = table.tasks, less_by_task(table)
    runs = {task: [_runs(table, name, task) for name in names] for task in tasks}
    each = against_baseline_by_task(
        list(runs.values()), baseline=base, lower_is_better=[less[task] for task in tasks], within=within
    )
    by_task = {task: tuple(rows) for task, rows in zip(tasks, each, strict=True)}
    no_average, means = other_units(table), task_means(runs, each)
    if no_average:
        over = [AgainstBaseline(row.recipe, row.baseline, float("nan"), None) for row in each[0]]
    else:
        over = against_baseline_over_tasks(each, means, lower_is_better=table.lower_is_better, within=within)
    common = [] if no_average else [task for task in tasks if all(len(run.values) for run in runs[task])]
    examples, left_out = _over_examples(table, tasks, baseline=names[base])
    return {
        "recipes": tuple(_summary(name, [runs[task][at] for task in common], table) for at, name in enumerate(names)),
        "comparisons": tuple(over),
        "best": None if no_average else best_recipe(means, over, lower_is_better=table.lower_is_better),
        "best_by_task": {
            task: best_recipe(runs[task], rows, lower_is_better=less[task]) for task, rows in by_task.items()
        },
        "tasks": by_task,
        "less_by_task": less,
        "no_average": no_average,
        "examples": examples,
    }, [
        *unpaired_by_task(runs, by_task),
        *task_notes(by_task, names, is_averaged=not no_average),
        *_examples_note(tasks, examples),
        *left_out,
    ]


def _refuse_incomparable(table: RunTable) -> None:
    """Refuse a table in several units, with numbers that are too small, or with a single recipe."""
    if 0 < np.abs(table.frame["value"].to_numpy()).max() < 1 / LARGEST:
        raise LastbitError(
            f"{table.metric} is below {1 / LARGEST:g} in every run, where squares are 0: give it in a smaller unit"
        )
    if mixed := said_units(table.frame, table.metric, sure=True):
        raise LastbitError(f"{mixed} They cannot be compared: give all in one unit, and nothing is converted for you")
    if len(table.recipes) < 2:
        by = f"all rows have the same {joined(table.by)}" if table.by else "no column tells recipes apart"
        one = f"the table has one recipe only, {table.recipes[0]}"
        raise LastbitError(f"{one}: {by} (--by NAME names the column that does)")


def _runs(table: RunTable, name: str, task: str | None) -> RecipeRuns:
    rows = table.rows(name, task)
    values = rows["value"].to_numpy().astype(float)
    if rows["seed"].null_count() == len(values):
        return RecipeRuns(name, values)
    repeats = table.runs_by_seed(name, task)
    alone = [values[at : at + 1] for at in np.flatnonzero(rows["seed"].is_null().to_numpy())]  # each by itself
    behind = (*repeats.values(), *alone)
    means = np.array([runs.mean() for runs in behind])
    return RecipeRuns(name, means, (*repeats, *(None for _ in alone)), behind)


def _summary(name: str, parts: Sequence[RecipeRuns], table: RunTable) -> RecipeSummary:
    """All runs of a recipe, with the mean and the spread of these parts."""
    spreads = [runs.std**2 for runs in parts if len(runs.values) > 1]
    mean = float(np.mean([runs.values.mean() for runs in parts])) if parts else float("nan")
    std = float(np.sqrt(np.mean(spreads))) if spreads else float("nan")
    rows = table.rows(name)
    seeds = rows["seed"].drop_nulls().unique(maintain_order=True).to_list()
    return RecipeSummary(name, rows.height, tuple(seeds), mean, std)


def _over_examples(
    table: RunTable, tasks: Sequence[str | None], *, baseline: str
) -> tuple[dict[str | None, Mapping[str, OverExamples]], list[str]]:
    """The comparisons over examples, of each task that has single examples, and which recipes are in none."""
    if table.examples is None:
        return {}, []
    parts = {
        task: table.examples if task is None else table.examples.filter(table.examples["task"] == task)
        for task in tasks
    }
    parts = {task: examples for task, examples in parts.items() if examples.height}
    over, left_out = {}, []
    for task, examples in parts.items():
        notes: list[str] = []
        over[task] = over_examples(
            examples, table.recipes, baseline, significance=SIGNIFICANCE / len(parts), notes=notes
        )
        left_out += notes if task is None else [f"{task}: {note}" for note in notes]
    return {task: rows for task, rows in over.items() if rows}, left_out


def _examples_note(tasks: Sequence[str], examples: Mapping[str | None, object]) -> list[str]:
    if not examples:
        return []
    return [
        f"The examples of each task are compared by themselves ({len(examples)} of {len(tasks)} tasks have some); "
        "their intervals hold together, those of all recipes and tasks."
    ]
