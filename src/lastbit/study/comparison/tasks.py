"""Several tasks in one table: whether they may be averaged, which recipes lack some, and what holds on single tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from lastbit.report.numbers import joined, significant, some
from lastbit.runs.columns import is_unbounded
from lastbit.runs.columns import lower_is_better as says_less
from lastbit.statistics.best import Best
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.study.comparison.findings import TOGETHER

if TYPE_CHECKING:
    from lastbit.runs.table import RunTable

_NAMED = 6
_APART = 30  # medians of tasks in one unit and of one size are not so many times apart
_PERCENTS = (50, 200)  # times that percents are of fractions, as far as medians tell

ByTask = Mapping[str, Sequence[AgainstBaseline]]


def less_by_task(table: RunTable) -> dict[str, bool]:
    """Whether less is better on each task: as asked, else by the metric, else by the name of the task."""
    if table.is_direction_asked or table.lower_is_better or says_less(table.metric) is not None:
        return dict.fromkeys(table.tasks, table.lower_is_better)
    return {task: bool(says_less(task)) for task in table.tasks}


def other_units(table: RunTable) -> str:
    """A sentence that the tasks are in different units or sizes and have no average; empty where they have one.

    They are where lower is better on some and higher on others, or where the values of one are many times another's; of
    an accuracy, an error rate and the like, only where one looks like fractions and another like percents.
    """
    less = less_by_task(table)
    parts = {task: table.frame.filter(table.frame["task"] == task)["value"].to_numpy() for task in table.tasks}
    medians = {task: float(np.median(np.abs(values))) for task, values in parts.items()}
    low, high = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    if len(set(less.values())) > 1:
        down = [task for task, is_less in less.items() if is_less]
        why = f"lower is better on {some(down, _NAMED)}, higher on the others"
    elif _are_apart(parts[low], parts[high], table.metric):
        why = f"median {significant(medians[low])} on {low}, {significant(medians[high])} on {high}"
    else:
        return ""
    return f"The tasks are in different units or of different sizes ({why}): there is no average over them."


def _are_apart(low: np.ndarray, high: np.ndarray, metric: str) -> bool:
    small, large = float(np.median(np.abs(low))), float(np.median(np.abs(high)))
    if says_less(metric) is not None and not is_unbounded(metric):
        fractions = low.min() >= 0 and low.max() <= 1 < high.max() <= 100
        return fractions and _PERCENTS[0] * small < large < _PERCENTS[1] * small
    return large > _APART * small


def task_notes(by_task: ByTask, recipes: Sequence[str], *, is_averaged: bool) -> list[str]:
    """What tasks are taken for, which findings hold together, and which recipes lack a task.

    Args:
        by_task: the comparisons of each task.
        recipes: with the baseline.
        is_averaged: whether there is a comparison over all tasks.
    """
    count = len(by_task)
    tests = sum(row.test is not None for rows in by_task.values() for row in rows)
    together = f"The {tests} intervals on single tasks hold together, those of all {count} tasks."
    if not is_averaged:
        return [*([together] if tests else []), *lacking(by_task, is_averaged=False)]
    one_run = any(row.test is None and not isnan(row.difference) for rows in by_task.values() for row in rows)
    notes = [
        f"{count} tasks count alike, and as a sample of tasks like them: the interval of a difference is that of "
        "its mean over all such tasks, and its test Student’s on the tasks.",
        *lacking(by_task, is_averaged=True),
    ]
    if one_run:
        notes.append(
            "Where a recipe has one run on a task, nothing is said of that task, but over tasks one run on each will "
            "do: how far runs spread is in how far the differences spread from task to task. It supposes that these "
            "differences are independent and nearly normal."
        )
    if tests:
        notes.append(
            f"{len(recipes) - 1} differences over tasks are one family; the {tests} on single tasks are another, and "
            "hold together, those of all tasks. They answer two questions: a difference on a task holds for that task, "
            "one over tasks for tasks like these, whose own differences count as luck. So either may be there without "
            "the other."
        )
    return notes


def lacking(by_task: ByTask, *, is_averaged: bool) -> list[str]:
    """Which recipes have no run on some task."""
    rows = next(iter(by_task.values()))
    base, missing = rows[0].baseline, dict[str, list[str]]()
    for task, of in by_task.items():
        if all(isnan(row.means[1]) for row in of):
            missing.setdefault(base, []).append(task)
        for row in of:
            if isnan(row.means[0]):
                missing.setdefault(row.recipe, []).append(task)
    if not missing:
        return []
    named = [f"{recipe} on {joined(tasks)}" for recipe, tasks in missing.items()]
    note = f"There is no run of {some(named, _NAMED)}."
    if is_averaged:
        common = [task for task in by_task if not any(task in tasks for tasks in missing.values())]
        over = f"the {len(common)} that all have ({some(common, _NAMED)})" if common else "none, since none is common"
        note += (
            f" A recipe is compared with {base} on the tasks that both have; means of recipes are over {over}, so that "
            "they are of the same tasks."
        )
    return [note]


def sentences_on_tasks(by_task: ByTask, less: Mapping[str, bool], baseline: str) -> list[str]:
    """Which recipes differ from the baseline on which tasks, in words; none where no task has an interval."""
    intervals = sum(row.simultaneous is not None for rows in by_task.values() for row in rows)
    if not intervals:
        return []
    real: dict[str, dict[str, list[str]]] = {"better": {}, "worse": {}}
    for task, rows in by_task.items():
        for row in rows:
            if row.is_real:
                side = "better" if (row.difference > 0) is not less[task] else "worse"
                real[side].setdefault(row.recipe, []).append(task)
    sides = [
        f"{side}: {some([f'{name} on {joined(tasks)}' for name, tasks in of.items()], _NAMED)}"
        for side, of in real.items()
        if of
    ]
    if not sides:
        return [f"On single tasks, none of {intervals} differences from {baseline} is more than noise ({TOGETHER})."]
    count = sum(len(tasks) for of in real.values() for tasks in of.values())
    verb = "is" if count == 1 else "are"
    start = f"On single tasks, {count} of {intervals} differences from {baseline} {verb} more than noise ({TOGETHER})"
    return [f"{start}; {'; '.join(sides)}."]


def best_on_tasks(best_by_task: Mapping[str, Best | None]) -> list[str]:
    """On which tasks one recipe is better than all others, in words; none where no task has a best.

    Args:
        best_by_task: of each task, None where it has none.
    """
    known = {task: best for task, best in best_by_task.items() if best is not None}
    if not known:
        return []
    clear: dict[str, list[str]] = {}
    for task, best in known.items():
        if best.is_clear:
            clear.setdefault(best.recipe, []).append(task)
    if not clear:
        return [f"On none of {len(known)} single tasks is one recipe better than all others."]
    count = sum(len(tasks) for tasks in clear.values())
    named = some([f"{recipe} on {joined(tasks)}" for recipe, tasks in clear.items()], _NAMED)
    return [f"On {count} of {len(known)} single tasks one recipe is better than all others: {named}."]
