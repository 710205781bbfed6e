"""Two one-sided tests against those of statsmodels, and how often they declare what is not so."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from lastbit.statistics.means import equivalence, paired_t, welch_t


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.0])
def test_it_is_statsmodels(margin):
    a, b = np.random.default_rng(3).normal(0, 0.4, (2, 8))
    assert equivalence(paired_t(a, b), margin).p == pytest.approx(ttost_paired(a, b, -margin, margin)[0])
    unpaired = ttost_ind(a, b, -margin, margin, usevar="unequal")[0]
    assert equivalence(welch_t(a, b), margin).p == pytest.approx(unpaired)


def test_the_90_percent_interval_touches_the_margin_where_p_is_5_percent():
    a, b = np.random.default_rng(4).normal(0, 0.4, (2, 8))
    interval = equivalence(welch_t(a, b), 1.0)
    margin = max(abs(interval.lower), abs(interval.upper))
    assert equivalence(welch_t(a, b), margin).p == pytest.approx(0.05)


def test_at_the_margin_it_is_declared_in_5_percent_at_most():
    generator = np.random.default_rng(0)
    declared = [
        equivalence(welch_t(generator.normal(0.5, 0.3, 8), generator.normal(0, 0.3, 8)), 0.5).p <= 0.05
        for _ in range(3000)
    ]
    assert 0.03 <= np.mean(declared) <= 0.062


def test_runs_that_do_not_vary_decide_nothing():
    found = equivalence(welch_t(np.full(3, 1.2), np.full(3, 1.0)), 0.3)
    assert np.isnan([found.p, found.lower, found.upper]).all()
