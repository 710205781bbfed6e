"""Tasks as a random effect against metafor's published example, statsmodels, and simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from lastbit.errors import LastbitError
from lastbit.statistics.over_tasks import (
    against_baseline_by_task,
    against_baseline_over_tasks,
    over_tasks,
    task_means,
)
from lastbit.statistics.single_runs import RecipeRuns

# The 13 trials of the BCG vaccine (Colditz et al. 1994): cases and others, with the vaccine and without.
BCG = np.array(
    [
        [4, 119, 11, 128],
        [6, 300, 29, 274],
        [3, 228, 11, 209],
        [62, 13536, 248, 12619],
        [33, 5036, 47, 5761],
        [180, 1361, 372, 1079],
        [8, 2537, 10, 619],
        [505, 87886, 499, 87892],
        [29, 7470, 45, 7232],
        [17, 1699, 65, 1600],
        [186, 50448, 141, 27197],
        [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ],
    dtype=float,
)


def bcg():
    """Logarithms of the relative risks, and their standard errors."""
    cases, others, cases_without, others_without = BCG.T
    treated, control = cases + others, cases_without + others_without
    log_risks = np.log(cases / treated) - np.log(cases_without / control)
    return log_risks, np.sqrt(1 / cases - 1 / treated + 1 / cases_without - 1 / control)


def test_the_spread_between_tasks_is_metafors_published_one():
    # Viechtbauer (2010, Journal of Statistical Software 36(3)), section 3: rma(yi, vi) by REML.
    assert over_tasks(*bcg()).tau ** 2 == pytest.approx(0.3132, abs=5e-5)


def test_the_interval_is_students_of_the_tasks_and_with_equal_errors_hartungs_and_knapps():
    differences, errors = np.array([0.2, 0.9, -0.1, 0.6, 0.5]), np.full(5, 0.2)
    found = over_tasks(differences, errors)
    student = stats.ttest_1samp(differences, 0)
    assert found.test.p == pytest.approx(student.pvalue)
    assert (found.test.lower, found.test.upper) == pytest.approx(tuple(student.confidence_interval(0.95)))
    rival = combine_effects(differences, errors**2, method_re="iterated")
    assert found.test.standard_error == pytest.approx(rival.sd_eff_w_re_hksj)
    assert found.tau**2 == pytest.approx(rival.tau2)  # Paule's and Mandel's, which is REML's for equal errors


@pytest.mark.parametrize(("tasks", "tau"), [(3, 0.0), (3, 1.0), (8, 0.3), (8, 1.0)])
def test_the_interval_covers(tasks, tau):
    generator, hits = np.random.default_rng(0), []
    errors = np.linspace(0.2, 1.0, tasks)
    for _ in range(800):
        found = over_tasks(0.5 + generator.normal(0, tau, tasks) + errors * generator.normal(0, 1, tasks), errors)
        hits.append(found.test.lower <= 0.5 <= found.test.upper)
    assert 0.93 <= np.mean(hits) <= 0.99


def test_tasks_on_which_nothing_varies_count_alike():
    found = over_tasks(np.array([0.5, 0.5, 0.5]), np.zeros(3))
    assert (found.test.difference, found.test.standard_error, found.tau) == (0.5, 0.0, 0.0)
    assert over_tasks(np.array([0.0, 1.0]), np.zeros(2)).test.difference == 0.5
    with pytest.raises(LastbitError, match="at least two"):
        over_tasks(np.array([0.5]), np.array([0.1]))


@pytest.mark.parametrize("runs", [1, 3])
def test_a_gain_that_is_the_same_on_each_task_but_for_rounding_has_no_interval(runs):
    base = np.array([90.0, 50.0, 70.3])
    assert np.ptp(base + 0.1 - base) > 0
    tasks = [
        [RecipeRuns(name, np.full(runs, mean + gain)) for name, gain in (("base", 0.0), ("same", 0.0), ("up", 0.1))]
        for mean in base
    ]
    each = against_baseline_by_task(tasks)
    means = task_means(dict(zip("abc", tasks, strict=True)), each)
    same, up = against_baseline_over_tasks(each, means)
    assert (same.difference, same.p, same.simultaneous) == (0.0, 1.0, None)
    assert up.difference == pytest.approx(0.1)
    assert (up.simultaneous, up.is_real, up.p) == (None, False, pytest.approx(2 / 2**3))
    assert up.tau == 0 if runs > 1 else np.isnan(up.tau)
