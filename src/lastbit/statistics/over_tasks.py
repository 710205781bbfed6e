"""A difference over several tasks or data sets, with the tasks as a random effect.

Each task t has an estimated difference y_t = μ + u_t + e_t: u_t, with variance τ², is what the task itself does to it,
and e_t the error of its runs, with variance v_t. An interval that leaves u_t out holds for these very tasks only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt

import numpy as np

from lastbit.errors import LastbitError
from lastbit.statistics.bisection import bisected
from lastbit.statistics.means import MeanTest, flipped_signs, largest, mean_of, t_test, variance
from lastbit.statistics.multiplicity import benjamini_hochberg, holm
from lastbit.statistics.power import SIGNIFICANCE, Design
from lastbit.statistics.recipes import AgainstBaseline, against_baseline, joint_with_best, with_multiplicity
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.statistics.spread import Table
from lastbit.statistics.superiority import Superiority

_HALVINGS = 80


@dataclass(frozen=True)
class OverTasks:
    """A mean difference over tasks, in the unit of the metric."""

    test: MeanTest  # of the mean over all tasks like these, with tasks - 1 degrees of freedom
    tau: float  # standard deviation of the true differences between tasks; NaN where a task's error is not known


def over_tasks(differences: Table, errors: Table, *, size: float | None = None) -> OverTasks:
    """Combine the differences of several tasks.

    Tasks count alike, and the interval is Student's, of the tasks' differences: at 5 % it is exact where they all have
    one error and conservative otherwise (Bakirov & Székely 2005; Ibragimov & Müller 2010), with two tasks already.
    Weights by precision would make it too short, since few tasks hardly tell τ², which is the restricted maximum
    likelihood estimate.

    Args:
        differences: of each task, shape (tasks,).
        errors: their standard errors, shape (tasks,); 0 where nothing varies, NaN where one run tells nothing of it.
            They are for τ alone, the interval does without.
        size: of the numbers that the differences are of; what their rounding leaves is taken for 0. By default the
            largest difference.

    Raises:
        LastbitError: fewer than two tasks.
    """
    tasks = len(differences)
    if tasks < 2:
        raise LastbitError(f"{tasks} task: tasks as a random effect take at least two")
    scale = largest(differences) if size is None else size
    spread = variance(differences, scale)
    test = t_test("tasks as random effect", mean_of(differences, scale), sqrt(spread / tasks), tasks - 1)
    return OverTasks(test, sqrt(_between_tasks(differences, np.asarray(errors, float) ** 2, spread)))


def _between_tasks(differences: Table, variances: Table, spread: float) -> float:
    """The τ² at which the derivative of the restricted likelihood is 0; 0 where it falls from the start."""
    if np.isnan(variances).any():
        return nan
    if np.any(variances <= 0):
        return max(0.0, spread - float(variances.mean()))
    high = float(np.sum((differences - differences.mean()) ** 2))
    if spread == 0 or _slope(differences, variances, 0.0) <= 0:
        return 0.0
    rises, falls = bisected(lambda tau2: _slope(differences, variances, tau2) > 0, 0.0, high, halvings=_HALVINGS)
    return (rises + falls) / 2


def _slope(differences: Table, variances: Table, tau2: float) -> float:
    """Twice the derivative of the restricted log-likelihood by τ²."""
    weights = 1 / (variances + tau2)
    mean = np.sum(weights * differences) / weights.sum()
    squares = np.sum(weights**2 * (differences - mean) ** 2)
    return float(squares - weights.sum() + np.sum(weights**2) / weights.sum())


def against_baseline_by_task(
    tasks: Sequence[Sequence[RecipeRuns]],
    *,
    baseline: int = 0,
    lower_is_better: Sequence[bool] = (),
    within: float | None = None,
) -> list[list[AgainstBaseline]]:
    """Every recipe with the baseline on each task by itself, as one family: the intervals of all tasks hold together.

    The intervals of each of T tasks hold together with a probability of 1 - 5 % / T (Bonferroni over tasks, whose runs
    may depend on each other). Holm's and Benjamini's and Hochberg's p are those of all tests of all tasks.

    Args:
        tasks: the same recipes in the same order, of each task.
        baseline: which of them.
        lower_is_better: of each task; by default of none.
        within: margin of equivalence.
    """
    less = lower_is_better or [False] * len(tasks)
    significance = SIGNIFICANCE / len(tasks)
    families = [
        against_baseline(runs, baseline=baseline, lower_is_better=down, within=within, significance=significance)
        for runs, down in zip(tasks, less, strict=True)
    ]
    p = np.array([[row.p for row in rows] for rows in families])
    adjusted = [adjust(table.ravel()).reshape(p.shape) for adjust, table in ((holm, p), (benjamini_hochberg, p))]
    return [
        [
            replace(row, p_holm=float(by_holm), p_bh=float(by_bh))
            for row, by_holm, by_bh in zip(rows, *parts, strict=True)
        ]
        for rows, *parts in zip(families, *adjusted, strict=True)
    ]


def task_means(
    tasks: Mapping[str, Sequence[RecipeRuns]], by_task: Sequence[Sequence[AgainstBaseline]]
) -> list[RecipeRuns]:
    """Each recipe with tasks in the place of seeds: the baseline's mean on each task, plus the recipe's difference.

    Args:
        tasks: the same recipes in the same order, of each task.
        by_task: their comparisons on each task.
    """
    base, means = by_task[0][0].baseline, dict[str, dict[str | int, float]]()
    for (task, runs), rows in zip(tasks.items(), by_task, strict=True):
        differences = {base: 0.0} | {row.recipe: row.difference for row in rows}
        own = next(recipe.values for recipe in runs if recipe.name == base)
        for recipe in runs:
            known = means.setdefault(recipe.name, {})
            if len(own) and not isnan(differences[recipe.name]):
                known[task] = float(own.mean()) + differences[recipe.name]
    return [RecipeRuns(name, np.array(list(of.values())), tuple(of)) for name, of in means.items()]


def against_baseline_over_tasks(
    by_task: Sequence[Sequence[AgainstBaseline]],
    means: Sequence[RecipeRuns],
    *,
    lower_is_better: bool = False,
    within: float | None = None,
) -> list[AgainstBaseline]:
    """Each recipe's difference from the baseline over all tasks that both have, adjusted for the number of recipes.

    One run of each on a task is enough, since the tasks' differences spread by what runs do, too. `better` is the mean
    over tasks, without an interval. The family is that of `against_baseline`, with tasks in the place of seeds.

    Args:
        by_task: the comparisons of each task, with the same recipes in the same order; the difference is NaN where one
            side has no run.
        means: `task_means` of the same.
        lower_is_better: for which of them is the best.
        within: margin of equivalence.
    """
    rows = [_over_tasks_of(recipe) for recipe in zip(*by_task, strict=True)]
    base = next(recipe for recipe in means if recipe.name == rows[0].baseline)
    others = [recipe for recipe in means if recipe is not base]
    joint = joint_with_best(base, others, lower_is_better=lower_is_better)
    return with_multiplicity(rows, joint, within=within)


def _over_tasks_of(rows: Sequence[AgainstBaseline]) -> AgainstBaseline:
    known = [row for row in rows if not isnan(row.difference)]
    means = [float(np.mean([row.means[side] for row in known])) if known else nan for side in (0, 1)]
    alone = AgainstBaseline(rows[0].recipe, rows[0].baseline, means[0] - means[1], None, means=(means[0], means[1]))
    alone = replace(alone, tasks=len(known))
    if len(known) < 2:
        return alone
    differences = np.array([row.difference for row in known])
    errors = np.array([row.test.standard_error if row.test else nan for row in known])
    combined = over_tasks(differences, errors, size=max(abs(mean) for row in known for mean in row.means))
    error = combined.test.standard_error
    better = [row.better.value for row in known if row.better is not None]
    return replace(
        alone,
        difference=combined.test.difference,
        test=combined.test,
        p=combined.test.p if error > 0 or combined.test.difference == 0 else flipped_signs(differences).p,
        better=Superiority(float(np.mean(better)), nan, nan) if better else None,
        tau=combined.tau,
        task_design=Design(error * sqrt(len(known))) if error > 0 else None,
    )
