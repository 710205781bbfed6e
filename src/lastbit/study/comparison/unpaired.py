"""Which runs are in no pair, and which recipes share too few seeds with the baseline to be compared in pairs."""

from collections.abc import Mapping, Sequence

from lastbit.report.numbers import some
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.statistics.single_runs import RecipeRuns

_NAMED = 6


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


def unpaired_by_task(
    runs: Mapping[str, Sequence[RecipeRuns]], by_task: Mapping[str, Sequence[AgainstBaseline]]
) -> list[str]:
    """The notes of all tasks, each once, with the tasks that it is of where it is not of all."""
    tasks: dict[str, list[str]] = {}
    for task, comparisons in by_task.items():
        for note in unpaired_notes(runs[task], comparisons):
            tasks.setdefault(note, []).append(str(task))
    return [
        note if len(of) == len(by_task) else f"Task{'s' * (len(of) > 1)} {some(of, _NAMED)}: {note}"
        for note, of in tasks.items()
    ]
