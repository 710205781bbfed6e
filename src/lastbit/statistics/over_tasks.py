"""A difference over several tasks or data sets, with the tasks as a random effect.

Each task t has an estimated difference y_t = μ + u_t + e_t: u_t, with variance τ², is what the task itself does to it,
and e_t the error of its runs, with variance v_t. An interval that leaves u_t out holds for these very tasks only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np

from lastbit.errors import LastbitError
from lastbit.statistics.bisection import bisected
from lastbit.statistics.means import MeanTest, flipped_signs, t_test, variance
from lastbit.statistics.multiplicity import bonferroni_level, paired_level
from lastbit.statistics.recipes import AgainstBaseline, with_multiplicity
from lastbit.statistics.spread import Table
from lastbit.statistics.superiority import Superiority

_HALVINGS = 80


@dataclass(frozen=True)
class OverTasks:
    """A mean difference over tasks, in the unit of the metric."""

    test: MeanTest  # of the mean over all tasks like these, with tasks - 1 degrees of freedom
    tau: float  # standard deviation of the true differences between tasks


def over_tasks(differences: Table, errors: Table) -> OverTasks:
    """Combine the differences of several tasks.

    Tasks count alike, and the interval is Student's, of the tasks' differences: at 5 % it is exact where they all have
    one error and conservative otherwise (Bakirov & Székely 2005; Ibragimov & Müller 2010), with two tasks already.
    Weights by precision would make it too short, since few tasks hardly tell τ², which is the restricted maximum
    likelihood estimate.

    Args:
        differences: of each task, shape (tasks,).
        errors: their standard errors, shape (tasks,); 0 where nothing varies.

    Raises:
        LastbitError: fewer than two tasks.
    """
    tasks = len(differences)
    if tasks < 2:
        raise LastbitError(f"{tasks} task: tasks as a random effect take at least two")
    size = float(np.abs(differences).max())
    error = float(np.sqrt(variance(differences, size) / tasks))
    test = t_test("tasks as random effect", float(np.mean(differences)), error, tasks - 1)
    return OverTasks(test, float(np.sqrt(_between_tasks(differences, np.asarray(errors, float) ** 2))))


def _between_tasks(differences: Table, variances: Table) -> float:
    """The τ² at which the derivative of the restricted likelihood is 0; 0 where it falls from the start."""
    if np.any(variances <= 0):
        between = float(np.var(differences, ddof=1))
        return max(0.0, between - float(variances.mean()))
    high = float(np.sum((differences - differences.mean()) ** 2))
    if high == 0 or _slope(differences, variances, 0.0) <= 0:
        return 0.0
    rises, falls = bisected(lambda tau2: _slope(differences, variances, tau2) > 0, 0.0, high, halvings=_HALVINGS)
    return (rises + falls) / 2


def _slope(differences: Table, variances: Table, tau2: float) -> float:
    """Twice the derivative of the restricted log-likelihood by τ²."""
    weights = 1 / (variances + tau2)
    mean = np.sum(weights * differences) / weights.sum()
    squares = np.sum(weights**2 * (differences - mean) ** 2)
    return float(squares - weights.sum() + np.sum(weights**2) / weights.sum())


def against_baseline_over_tasks(
    by_task: Sequence[Sequence[AgainstBaseline]], *, within: float | None = None
) -> list[AgainstBaseline]:
    """Each recipe's difference from the baseline over all tasks, adjusted for the number of recipes.

    `better` is the mean over tasks, without an interval. The simultaneous intervals are `paired_level`'s, with tasks in
    the place of seeds; Bonferroni's where a recipe has no test on some task.

    Args:
        by_task: the comparisons of each task, with the same recipes in the same order; a recipe that has no test on a
            task is compared over the others.
        within: margin of equivalence.
    """
    rows = [_over_tasks_of(recipe) for recipe in zip(*by_task, strict=True)]

    def joint_level(tested: Sequence[AgainstBaseline]) -> float:
        """The level at which the intervals of these recipes hold together."""
        names = {row.recipe for row in tested}
        tests = [[row.test for row in task if row.recipe in names] for task in by_task]
        table = [[nan if test is None else test.difference for test in task] for task in tests]
        differences = np.array(table).T
        return bonferroni_level(len(tested)) if np.isnan(differences).any() else paired_level(differences)

    return with_multiplicity(rows, joint_level, within=within)


def _over_tasks_of(rows: Sequence[AgainstBaseline]) -> AgainstBaseline:
    tests = [row.test for row in rows if row.test is not None]
    known = [row.difference for row in rows if not isnan(row.difference)]
    alone = AgainstBaseline(rows[0].recipe, rows[0].baseline, float(np.mean(known)) if known else nan, None)
    if len(tests) < 2:
        return alone
    differences = np.array([test.difference for test in tests])
    combined = over_tasks(differences, np.array([test.standard_error for test in tests]))
    varies = combined.test.standard_error > 0 or combined.test.difference == 0
    better = float(np.mean([row.better.value for row in rows if row.better is not None]))
    return replace(
        alone,
        difference=combined.test.difference,
        test=combined.test,
        p=combined.test.p if varies else flipped_signs(differences).p,
        better=Superiority(better, nan, nan),
        tau=combined.tau,
    )
