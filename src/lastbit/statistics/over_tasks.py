"""A difference over several tasks or data sets, with the tasks as a random effect.

Each task t has an estimated difference y_t = μ + u_t + e_t: u_t, with variance τ², is what the task itself does to it,
and e_t the error of its runs, with variance v_t. An interval that leaves u_t out holds for these very tasks only.
"""

from dataclasses import dataclass

import numpy as np

from lastbit.errors import LastbitError
from lastbit.statistics.means import MeanTest, t_test, variance
from lastbit.statistics.spread import Table

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
    low, high = 0.0, float(np.sum((differences - differences.mean()) ** 2))
    if high == 0 or _slope(differences, variances, 0.0) <= 0:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(differences, variances, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _slope(differences: Table, variances: Table, tau2: float) -> float:
    """Twice the derivative of the restricted log-likelihood by τ²."""
    weights = 1 / (variances + tau2)
    mean = np.sum(weights * differences) / weights.sum()
    squares = np.sum(weights**2 * (differences - mean) ** 2)
    return float(squares - weights.sum() + np.sum(weights**2) / weights.sum())
