"""The interval of an excess over a known variance, against scipy's quantiles and simulated mean squares."""

import numpy as np
import pytest
from scipy import stats

from lastbit.statistics.excess import excess_interval, tails


def test_far_from_zero_it_is_the_chi_square_interval_without_the_known_variance():
    lower, upper = excess_interval(np.array([50.0]), np.array([2.0]), np.array([30.0]))
    assert lower == pytest.approx(30 * 50 / stats.chi2.ppf(0.975, 30) - 2)
    assert upper == pytest.approx(30 * 50 / stats.chi2.ppf(0.025, 30) - 2)


@pytest.mark.parametrize("variance", [0.3, 0.8, 1.0, 1.2, 1.5, 2.0])
def test_an_end_leaves_the_tail_that_its_own_value_has(variance):
    """Whatever is observed, the probability of more (or less) at an end is what `tails` gives there."""
    dof, scale = 12.0, np.sqrt(2 / 12)
    lower, upper = excess_interval(np.array([variance]), np.array([1.0]), np.array([dof]))
    if lower > 0:
        assert stats.chi2.sf(dof * variance / (1 + lower), dof) == pytest.approx(tails(lower / scale).lower)
    else:
        assert stats.chi2.sf(dof * variance, dof) >= 0.045
    assert upper >= 0.5 * scale * (1 - 1e-9)
    assert stats.chi2.cdf(dof * variance / (1 + upper), dof) == pytest.approx(tails(upper / scale).upper, abs=1e-9)


def test_the_tails_go_from_one_sided_to_equal():
    assert tails(0) == tails(0.5) == (0.045, 0)
    assert tails(1.25) == pytest.approx((0.035, 0.0125))
    assert tails(2) == tails(9) == pytest.approx((0.025, 0.025))


def test_nothing_known_gives_the_plain_interval_and_nothing_at_all_gives_zero():
    lower, upper = excess_interval(np.array([3.0]), np.zeros(1), np.array([5.0]))
    assert (lower, upper) == pytest.approx((15 / stats.chi2.ppf(0.975, 5), 15 / stats.chi2.ppf(0.025, 5)))
    assert excess_interval(np.zeros(2), np.zeros(2), np.array([5.0, 25.0])) == (0, 0)


def test_another_error_adds_to_both_ends_in_squares():
    plain = np.array(excess_interval(np.array([50.0]), np.array([1.0]), np.array([30.0])))
    wider = np.array(excess_interval(np.array([50.0]), np.array([1.0]), np.array([30.0]), error=4.0))
    assert (wider - 49) ** 2 == pytest.approx((plain - 49) ** 2 + (stats.norm.ppf(0.975) * 4) ** 2)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.5), (1 / 3, 2 / 3)])
@pytest.mark.parametrize("excess", [0, 0.5, 3])
def test_it_covers_what_it_claims(shares, excess):
    """Two mean squares with a few degrees of freedom, of which the known part and the excess may lie in either."""
    generator = np.random.default_rng(0)
    known, dofs = np.array(shares), np.array([2.0, 4.0])[-len(shares) :]
    for excesses in (excess * known, excess * np.eye(len(shares))[0]):
        draws = (known + excesses) * generator.chisquare(dofs, (700, len(shares))) / dofs
        ends = np.array([excess_interval(parts, known, dofs) for parts in draws])
        covered = np.mean((ends[:, 0] <= excess) & (excess <= ends[:, 1]))
        assert abs(covered - 0.95) < 0.02 + 3 * np.sqrt(0.95 * 0.05 / 700)


def of_difference(mean, minus, dofs):
    """Without anything known, where both tails are 2.5 %."""
    return excess_interval(np.array([mean, -minus]), np.zeros(2), np.array(dofs))


def test_the_ends_of_a_difference_reach_zero_where_the_f_test_does():
    lower, upper = (stats.f.ppf(q, 4, 5) for q in (0.975, 0.025))
    assert of_difference(lower * (1 - 1e-6), 1.0, (4.0, 5.0))[0] == 0
    assert of_difference(lower * (1 + 1e-6), 1.0, (4.0, 5.0))[0] > 0
    assert of_difference(upper * (1 - 1e-6), 1.0, (4.0, 5.0))[1] == 0
    assert of_difference(upper * (1 + 1e-6), 1.0, (4.0, 5.0))[1] > 0


def test_less_a_mean_square_that_is_known_it_is_the_chi_square_interval():
    ends = of_difference(50.0, 2.0, (30.0, 1e9))
    assert ends == pytest.approx([30 * 50 / stats.chi2.ppf(q, 30) - 2 for q in (0.975, 0.025)], rel=1e-4)


@pytest.mark.parametrize("excess", [0, 0.3, 3])
@pytest.mark.parametrize("beside", [0, 2])
def test_of_a_difference_it_covers_what_it_claims(excess, beside):
    """As of a source of 5 levels: its mean square less that of the rest, which may have an excess of its own too."""
    generator, dofs = np.random.default_rng(1), np.array([4.0, 5.0])
    known = np.array([1.3, -0.3])
    truth = known + np.array([excess + beside, -beside])
    ends = np.array(
        [excess_interval(parts, known, dofs) for parts in truth * generator.chisquare(dofs, (700, 2)) / dofs]
    )
    covered = np.mean((ends[:, 0] <= excess) & (excess <= ends[:, 1]))
    assert abs(covered - 0.95) < 0.02 + 3 * np.sqrt(0.95 * 0.05 / 700)
    assert np.all(ends[:, 1] > 0)
