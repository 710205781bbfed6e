"""Clustered errors against dense matrices, statsmodels, and simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import linalg

from lastbit.errors import LastbitError
from lastbit.statistics.clustered import clustered_t


def dense(values, groups):
    """CR2 and Satterthwaite's degrees of freedom of a mean, from the definition (Pustejovsky & Tipton 2018)."""
    n, names = len(values), np.unique(groups)
    x = np.ones((n, 1))
    bread = linalg.inv(x.T @ x)
    annihilator = np.eye(n) - x @ bread @ x.T
    variance, rows = 0.0, []
    for name in names:
        inside = np.flatnonzero(groups == name)
        # The symmetric inverse root; the block is positive definite with more than one group.
        adjusted = linalg.inv(linalg.sqrtm(annihilator[np.ix_(inside, inside)]))
        weights = bread @ x[inside].T @ adjusted
        variance += (weights @ (annihilator @ values)[inside]).item() ** 2
        rows.append((weights @ annihilator[inside]).ravel())
    products = np.array(rows) @ np.array(rows).T
    return np.sqrt(variance), np.trace(products) ** 2 / np.sum(products**2)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (1, 2, 7, 3), (20, 1, 1, 1, 1)])
def test_it_is_the_dense_definition(sizes):
    generator = np.random.default_rng(0)
    groups = np.repeat([f"document {i}" for i in range(len(sizes))], sizes)
    values = generator.normal(0.2, 1, len(groups))
    found = clustered_t(values, groups)
    error, dof = dense(values, groups)
    assert found.difference == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(error)
    assert found.dof == pytest.approx(dof)


def test_groups_of_one_size_give_statsmodels_cr1_and_groups_of_one_the_plain_t_test():
    groups = np.repeat(np.arange(6), 5)
    values = np.random.default_rng(1).normal(0, 1, 30)
    rival = sm.OLS(values, np.ones(30)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True})
    found = clustered_t(values, groups)
    assert found.standard_error == pytest.approx(rival.bse[0])
    assert found.dof == pytest.approx(5)
    alone = clustered_t(values, np.arange(30))
    assert (alone.standard_error, alone.dof) == pytest.approx((np.std(values, ddof=1) / np.sqrt(30), 29))


def test_it_covers_where_plain_intervals_are_threefold_too_short():
    generator, hits, plain = np.random.default_rng(0), [], []
    groups = np.repeat(np.arange(15), 40)
    for _ in range(1000):
        values = generator.normal(0, 0.5, 15)[groups] + generator.normal(0, 1, 600)
        found = clustered_t(values, groups)
        hits.append(found.lower <= 0 <= found.upper)
        plain.append(abs(values.mean()) <= 1.96 * values.std(ddof=1) / np.sqrt(600))
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)
    assert np.mean(plain) < 0.6


def test_what_rounding_leaves_is_nothing():
    constant = clustered_t(np.full(12, 0.1), np.arange(12) // 3)
    assert constant.difference == pytest.approx(0.1)
    assert (constant.standard_error, np.isnan(constant.lower)) == (0.0, True)
    scores = np.random.default_rng(0).choice([0.1, 0.7, 1 / 3], 60)
    rounded = (scores + scores + scores) / 3 - scores  # the means of three equal runs, less the run
    assert np.abs(rounded).max() > 0
    found = clustered_t(rounded, np.arange(60), size=scores.max())
    assert (found.difference, found.standard_error, found.p) == (0.0, 0.0, 1.0)
    # A small difference is one, where the scores are small as well.
    assert clustered_t(1e-20 * (1 + scores), np.arange(60)).standard_error > 0


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(LastbitError, match="one group"):
        clustered_t(np.ones(3), [1, 1, 1])
    with pytest.raises(LastbitError, match="3 examples and the groups of 2"):
        clustered_t(np.ones(3), [1, 2])
