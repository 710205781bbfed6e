"""Compares the recipes of a table of runs with one of them."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from lastbit.errors import LastbitError
from lastbit.report.numbers import joined, some
from lastbit.runs.notice import said_units
from lastbit.runs.numbers import LARGEST
from lastbit.runs.table import RunTable
from lastbit.statistics.over_tasks import against_baseline_over_tasks
from lastbit.statistics.recipes import AgainstBaseline, against_baseline, best_recipe
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.study.comparison.far_runs import far_runs
from lastbit.study.comparison.gains import points_note
from lastbit.study.comparison.over_examples import OverExamples, over_examples
from lastbit.study.comparison.recipes import RecipesComparison, RecipeSummary, shown_decimals

_NAMED = 6
RunsByTask = Mapping[str | None, Sequence[RecipeRuns]]
RowsByTask = Mapping[str | None, Sequence[AgainstBaseline]]


def check_margin(within: float | None) -> None:
    """Refuse a margin of equivalence that is none.

    Raises:
        LastbitError: it is not above 0, or not finite.
    """
    if within is not None and not 0 < within < float("inf"):
        raise LastbitError(f"within {within:g}: a margin must be above 0, in the unit of the metric")


def compare_runs(table: RunTable, *, baseline: str | None = None, within: float | None = None) -> RecipesComparison:
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
    tasks = table.tasks if len(table.tasks) > 1 else [None]
    better = table.lower_is_better

    def against(of: RunTable) -> tuple[RunsByTask, RowsByTask, Sequence[AgainstBaseline]]:
        """The runs of a table, their comparisons by task, and those over all tasks."""
        runs = {task: [_runs(of, name, task) for name in names] for task in tasks}
        rows = {
            task: against_baseline(recipes, baseline=base, lower_is_better=better, within=within)
            for task, recipes in runs.items()
        }
        over = against_baseline_over_tasks(list(rows.values()), within=within) if several else rows[tasks[0]]
        return runs, rows, over

    several = len(tasks) > 1
    runs, by_task, comparisons = against(table)
    far = far_runs(table)
    rest = () if far is None else tuple(against(far.rest)[2])
    examples = _over_examples(table, tasks, baseline=names[base])
    values = table.frame["value"].to_numpy()
    span = float(values.min()), float(values.max())
    return RecipesComparison(
        metric=table.metric,
        lower_is_better=better,
        by=table.by,
        recipes=tuple(_summary([runs[task][at] for task in tasks], table) for at in range(len(names))),
        baseline=names[base],
        within=within,
        comparisons=tuple(comparisons),
        best=None if several else best_recipe(runs[tasks[0]], lower_is_better=better),
        tasks={str(task): tuple(rows) for task, rows in by_task.items()} if several else {},
        examples=examples,
        notes=(
            *([] if within is None else [_margin_note(table.metric, span, within)]),
            *([] if far is None else [far.note(rest, lower_is_better=better, decimals=shown_decimals(rest))]),
            *_unpaired_by_task(runs, by_task),
            *_over_tasks(tasks, examples),
            *(note for note in table.notes if far is None or not far.units or not note.startswith(far.units)),
        ),
        span=span,
        rest=rest,
    )


def _margin_note(metric: str, span: tuple[float, float], within: float) -> str:
    note = (
        f"The margin, {within:g}, is in the unit of {metric} as the table has it. {points_note(metric, span, within)}"
    )
    return note.rstrip()


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


def find_baseline(names: Sequence[str], wanted: str | None) -> int:
    """The place of the baseline among recipes: the first where none is wanted.

    Raises:
        LastbitError: no recipe has this name; the message has the nearest.
    """
    if wanted is None:
        return 0
    if wanted in names:
        return names.index(wanted)
    # `lr=0.1` and `0.1` are one recipe to a person where a single column makes it.
    ends = [at for at, name in enumerate(names) if name.partition("=")[2] == wanted]
    if len(ends) == 1:
        return ends[0]
    near = get_close_matches(wanted, names, n=3, cutoff=0.4) or names
    more = f" and {len(names) - _NAMED} more" if near is names and len(names) > _NAMED else ""
    raise LastbitError(f"there is no recipe {wanted!r} for the baseline: there is {', '.join(near[:_NAMED])}{more}")


def _runs(table: RunTable, name: str, task: str | None) -> RecipeRuns:
    rows = table.frame.filter(table.frame["recipe"] == name)
    rows = rows if task is None else rows.filter(rows["task"] == task)
    values = rows["value"].to_numpy().astype(float)
    if rows["seed"].null_count() == len(values):
        return RecipeRuns(name, values)
    repeats = table.runs_by_seed(name, task)
    alone = [values[at : at + 1] for at in np.flatnonzero(rows["seed"].is_null().to_numpy())]  # each by itself
    behind = (*repeats.values(), *alone)
    means = np.array([runs.mean() for runs in behind])
    return RecipeRuns(name, means, (*repeats, *(None for _ in alone)), behind)


def _summary(by_task: Sequence[RecipeRuns], table: RunTable) -> RecipeSummary:
    known = [runs for runs in by_task if len(runs.values)]
    seeds = dict.fromkeys(seed for runs in known for seed in runs.seeds or () if seed is not None)
    spreads = [runs.std**2 for runs in known if len(runs.values) > 1]
    mean = float(np.mean([runs.values.mean() for runs in known]))
    std = float(np.sqrt(np.mean(spreads))) if spreads else float("nan")
    return RecipeSummary(by_task[0].name, len(table.values(by_task[0].name)), tuple(seeds), mean, std)


def _over_examples(
    table: RunTable, tasks: Sequence[str | None], *, baseline: str
) -> dict[str | None, Mapping[str, OverExamples]]:
    """The comparisons over examples, of each task that has single examples."""
    if table.examples is None:
        return {}
    found = {
        task: over_examples(
            table.examples if task is None else table.examples.filter(table.examples["task"] == task),
            table.recipes,
            baseline,
        )
        for task in tasks
    }
    return {task: rows for task, rows in found.items() if rows}


def _over_tasks(tasks: Sequence[str | None], examples: Mapping[str | None, object]) -> list[str]:
    if len(tasks) < 2:
        return []
    notes = [
        f"{len(tasks)} tasks count alike, and as a sample of tasks like them: the interval of a difference is that of "
        "its mean over all such tasks, and its test Student’s on the tasks."
    ]
    if examples:
        notes.append(
            f"The examples of each task are compared by themselves ({len(examples)} of {len(tasks)} tasks have some): "
            "Holm’s p allows for the number of recipes, and not for that of tasks."
        )
    return notes


def unpaired_notes(runs: Sequence[RecipeRuns], comparisons: Sequence[AgainstBaseline]) -> list[str]:
    """Which runs a comparison on common seeds leaves out, and which recipes share too few seeds for one."""
    by_name = {recipe.name: recipe for recipe in runs}
    left, welch = [], []
    for row in comparisons:
        recipe, base = by_name[row.recipe], by_name[row.baseline]
        if row.seeds and len(row.seeds) < max(len(recipe.values), len(base.values)):
            left.append(f"{row.recipe} ({len(row.seeds)} of {max(len(recipe.values), len(base.values))} count)")
        if row.test is not None and not row.seeds and recipe.seeds and base.seeds:
            welch.append(row.recipe)
    notes = []
    if left:
        notes.append(
            f"Only common seeds are compared; runs of other seeds, or of none, are left out: {some(left, _NAMED)}."
        )
    if welch:
        notes.append(
            f"{some(welch, _NAMED)} {'shares' if len(welch) == 1 else 'share'} fewer than two seeds with "
            f"{comparisons[0].baseline}, so Welch’s test on all runs is used."
        )
    return notes


def _unpaired_by_task(runs: RunsByTask, by_task: RowsByTask) -> list[str]:
    """The notes of all tasks, each once, with the tasks that it is of where it is not of all."""
    tasks: dict[str, list[str]] = {}
    for task, comparisons in by_task.items():
        for note in unpaired_notes(runs[task], comparisons):
            tasks.setdefault(note, []).append(str(task))
    return [
        note if len(of) == len(by_task) else f"Task{'s' * (len(of) > 1)} {some(of, _NAMED)}: {note}"
        for note, of in tasks.items()
    ]
