"""Compares any number of studies, or recipes given as plain numbers, with one of them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from lastbit.statistics.best import best_recipe
from lastbit.statistics.recipes import against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.study.comparison.baseline import check_margin, find_baseline
from lastbit.study.comparison.doubts import doubts, refuse_incomparable
from lastbit.study.comparison.recipes import RecipesComparison, RecipeSummary
from lastbit.study.comparison.side import Side
from lastbit.study.comparison.unpaired import unpaired_notes

_NAMED = 6


def compare_sides(
    sides: Sequence[Side], *, metric: str, lower_is_better: bool, baseline: str | float | None, within: float | None
) -> RecipesComparison:
    """Compare several studies, or recipes given as plain numbers, with one of them.

    Args:
        sides: at least two, of different names.
        metric: its name.
        lower_is_better: whether less of it is better.
        baseline: a name; by default the first.
        within: margin of equivalence.

    Raises:
        LastbitError: two cannot be compared, or no side has the baseline's name.
    """
    check_margin(within)
    names = [side.name for side in sides]
    base = find_baseline(names, baseline)
    others = [side for side in sides if side is not sides[base]]
    for side in others:
        refuse_incomparable(side, sides[base], metric=metric)
    for first, second in combinations(others, 2):
        refuse_incomparable(first, second, metric=metric)
    runs = [_runs_of_side(side) for side in sides]
    values = np.concatenate([side.values.ravel() for side in sides])
    comparisons = against_baseline(runs, baseline=base, lower_is_better=lower_is_better, within=within)
    lost = [
        f"{side.name}: {len(side.lost)} runs count in no average: {'; '.join(side.lost[:_NAMED])}."
        for side in sides
        if side.lost
    ]
    notes = dict.fromkeys(doubt for side in others for doubt in doubts(side, sides[base], metric=metric))
    sign = (
        f"The difference is {others[0].name} minus {names[base]}, the baseline: where neither a baseline nor a margin "
        "is given, two are compared as the first minus the second."
    )
    return RecipesComparison(
        metric=metric,
        lower_is_better=lower_is_better,
        by=(),
        recipes=tuple(_row(run, side.runs) for run, side in zip(runs, sides, strict=True)),
        baseline=names[base],
        within=within,
        comparisons=tuple(comparisons),
        best=best_recipe(runs, comparisons, lower_is_better=lower_is_better),
        best_by_task={},
        tasks={},
        less_by_task={},
        no_average="",
        examples={},
        notes=(*([sign] if len(sides) == 2 else []), *notes, *lost, *unpaired_notes(runs, comparisons)),
        span=(float(np.nanmin(values)), float(np.nanmax(values))),
    )


def _runs_of_side(side: Side) -> RecipeRuns:
    means = side.seed_means()
    seeds = tuple(means) if side.has_seeds else None
    return RecipeRuns(side.name, np.array(list(means.values())), seeds, tuple(side.repeats().values()))


def _row(runs: RecipeRuns, count: int) -> RecipeSummary:
    mean = float(runs.values.mean()) if len(runs.values) else float("nan")
    seeds = tuple(seed for seed in runs.seeds or () if seed is not None)
    return RecipeSummary(runs.name, count, seeds, mean, runs.std)
