"""The split of a spread into quality and luck, against covariances, scipy and simulations of known truth."""

import numpy as np
import pytest
from scipy import special, stats

from lastbit.statistics.examples import Correctness
from lastbit.statistics.luck import Luck, known_luck, luck, luck_at_most, luck_by_error_rate, luck_if_calibrated
from lastbit.statistics.quality import known_quality, quality, quality_within
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS, noise_spread, seed_spread

AXES = pytest.mark.parametrize("axis", [OVER_NOISES, OVER_SEEDS])
SPREADS = {OVER_NOISES: noise_spread, OVER_SEEDS: seed_spread}


def split(right, axis, table=None):
    return quality(
        Correctness(np.zeros(right.shape[-1], int), right), right.mean(-1) if table is None else table, axis=axis
    )


def drawn(generator, shape, *, last_bit=0.0, seed=0.0):
    """Runs of probit networks: examples of different hardness, and runs that are better or worse on all of them."""
    noises, seeds, examples = shape
    better = last_bit * generator.standard_normal((noises, seeds)) + seed * generator.standard_normal(seeds)
    hardness = 8 + 6 * generator.standard_normal(examples)
    return 100.0 * (generator.standard_normal(shape) + hardness + better[..., None] > 0)


@AXES
def test_the_variance_of_quality_is_the_mean_covariance_of_two_different_examples(axis):
    """Σ_{i≠j} Cov(c_i, c_j) / n(n − 1), each covariance over the runs that are compared, by numpy."""
    right = drawn(np.random.default_rng(0), (4, 3, 50), last_bit=1.0, seed=1.0)
    groups = right.swapaxes(0, 1) if axis == OVER_NOISES else right
    covariances = np.mean([np.cov(runs, rowvar=False) for runs in groups], axis=0)
    found = split(right, axis)
    assert found.variance == pytest.approx((covariances.sum() - np.trace(covariances)) / (50 * 49))
    assert found.luck**2 == pytest.approx(np.trace(covariances) / 50**2)
    assert found.observed == pytest.approx(SPREADS[axis](right.mean(-1)).std)
    assert found.luck == pytest.approx(luck(Correctness(np.zeros(50), right), right.mean(-1), axis=axis).std)


def test_the_interval_is_at_least_that_of_the_mean_squares():
    """Other examples only widen it: the chi-square interval of the whole, without the luck, lies within."""
    right = drawn(np.random.default_rng(1), (6, 6, 400), last_bit=4.0)
    found = split(right, OVER_NOISES)
    upper, lower = (
        (30 * found.observed**2 / stats.chi2.ppf(q, 30) - found.luck**2) * 400 / 399 for q in (0.025, 0.975)
    )
    assert 0.8 * lower < found.lower**2 < lower
    assert upper < found.upper**2 < 1.2 * upper
    assert found.shown


@pytest.mark.parametrize(("noises", "seeds"), [(6, 6), (3, 3)])
@pytest.mark.parametrize(("last_bit", "seed"), [(0.0, 0.0), (0.3, 0.0), (1.0, 1.0)])
def test_without_bias_and_with_intervals_that_hold(noises, seeds, last_bit, seed):
    """A run that is better by z has the accuracy Φ((8 + z) / √37) on unlimited examples; its variance by quadrature."""
    generator = np.random.default_rng(2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    accuracy = 100 * special.ndtr((8 + last_bit * nodes + seed * nodes[:, None]) / np.sqrt(37))
    of_seed = accuracy @ weights
    whole = weights @ (accuracy - of_seed @ weights) ** 2 @ weights
    truth = {OVER_SEEDS: whole, OVER_NOISES: whole - weights @ (of_seed - of_seed @ weights) ** 2}
    studies = [drawn(generator, (noises, seeds, 300), last_bit=last_bit, seed=seed) for _ in range(500)]
    for axis, variance in truth.items():
        estimates = [split(right, axis) for right in studies]
        variances = np.array([estimate.variance for estimate in estimates])
        assert abs(variances.mean() - variance) < 4 * variances.std() / np.sqrt(len(studies))
        covered = np.mean([estimate.lower**2 <= variance + 1e-9 <= estimate.upper**2 for estimate in estimates])
        assert abs(covered - 0.95) < 0.02 + 3 * np.sqrt(0.95 * 0.05 / len(studies))


def test_a_negative_estimate_is_kept():
    right = np.full((2, 1, 100), 100.0)
    right[0, 0, :5] = right[1, 0, 5:10] = 0  # equal accuracies, and ten predictions that differ
    found = split(right, OVER_NOISES)
    assert found.observed == pytest.approx(0, abs=1e-9)
    assert found.luck**2 == pytest.approx(10 / 2)
    assert found.variance == pytest.approx(-5 * 100 / 99)
    assert (found.contested, found.rests_on_few) == (10, True)
    assert (found.std, found.lower, found.shown) == (0, 0, False)
    assert found.upper > 0


def test_runs_that_are_right_on_the_same_examples_have_no_spread_at_all():
    right = np.full((3, 3, 20), 100.0)
    right[..., :4] = 0
    found = split(right, OVER_SEEDS)
    assert (found.std, found.lower, found.upper, found.variance, found.luck) == (0, 0, 0, 0, 0)
    assert (found.contested, found.rests_on_few) == (0, False)


def test_examples_on_which_only_the_noise_decides_do_not_set_seeds_apart():
    right = np.full((3, 6, 60), 100.0)
    right[1, :, :40] = 0  # at every seed
    right[2, 4, 50:] = 0
    assert split(right, OVER_SEEDS).contested == 10
    assert split(right, OVER_NOISES).contested == 50


def test_missing_runs_are_left_out():
    right = drawn(np.random.default_rng(3), (3, 4, 100), last_bit=1.0)
    right[1, 2] = right[:, 3] = np.nan
    right[0, 2] = np.nan  # a seed with a single run knows nothing of the last bit
    assert split(right, OVER_NOISES) == split(right[:, :2], OVER_NOISES)
    assert split(right, OVER_SEEDS) == split(right[:, :2], OVER_SEEDS)


@AXES
def test_the_luck_beside_a_spread_is_of_the_same_runs(axis):
    """A missing run takes its seed out of the spread over seeds, and so out of the luck: both as without that seed."""
    right = drawn(np.random.default_rng(9), (3, 4, 100), last_bit=2.0, seed=2.0)
    right[1, 2] = np.nan
    known = luck(Correctness(np.zeros(100), right), right.mean(-1), axis=axis)
    assert known.std == pytest.approx(split(right, axis).luck)
    if axis == OVER_SEEDS:
        complete = right[:, [0, 1, 3]]
        assert known.std**2 == pytest.approx(np.mean([runs.var(0, ddof=1).sum() for runs in complete]) / 100**2)
    else:
        within = sum(((runs - runs.mean(0)) ** 2).sum() for runs in (*right.swapaxes(0, 1)[[0, 1, 3]], right[::2, 2]))
        assert known.std**2 == pytest.approx(within / (2 + 2 + 1 + 2) / 100**2)


@AXES
def test_what_so_few_runs_cannot_tell_is_none(axis):
    right = drawn(np.random.default_rng(4), (1, 1, 100))
    assert split(right, axis) is None
    assert split(drawn(np.random.default_rng(4), (3, 3, 1)), axis) is None
    assert split(drawn(np.random.default_rng(4), (3, 3, 100)), axis, np.full((3, 3), 12.5)) is None
    assert quality(None, right.mean(-1), axis=axis) is None


def test_one_noise_at_several_seeds_has_a_batch_order():
    right = drawn(np.random.default_rng(5), (1, 6, 100), seed=2.0)
    assert split(right, OVER_NOISES) is None
    assert split(right, OVER_SEEDS) == split(right.swapaxes(0, 1), OVER_NOISES)


def test_a_fraction_has_it_in_its_own_unit():
    right = drawn(np.random.default_rng(6), (3, 3, 100), last_bit=2.0)
    points, fraction = split(right, OVER_NOISES), split(right, OVER_NOISES, right.mean(-1) / 100)
    for name in ("std", "lower", "upper", "luck", "observed"):
        assert getattr(fraction, name) == pytest.approx(getattr(points, name) / 100)


@AXES
def test_bounds_of_the_luck_are_no_less_than_what_predictions_give(axis):
    """Where two classes are told apart, two runs disagree exactly where one of them is right."""
    right = drawn(np.random.default_rng(7), (5, 5, 400), last_bit=2.0, seed=1.0)
    exact, table = split(right, axis), right.mean(-1)
    ranked = right if axis == OVER_NOISES else right.swapaxes(0, 1)
    churn = np.mean([100 * np.mean(a != b) for i, a in enumerate(ranked) for b in ranked[:i]])
    by_churn = quality_within(SPREADS[axis](table), luck_at_most(churn, 400))
    by_error = quality_within(SPREADS[axis](table), luck_by_error_rate(table, 400))
    assert by_churn.luck == pytest.approx(exact.luck)
    for bound in (by_churn, by_error):
        assert bound.luck_at_most
        assert bound.luck >= exact.luck - 1e-9
        assert bound.variance <= exact.variance + 1e-9
        assert (bound.std == 0) == (bound.variance < 0)
        assert bound.lower**2 == pytest.approx(max(0, SPREADS[axis](table).lower ** 2 - bound.luck**2) * 400 / 399)
        assert bound.upper**2 == pytest.approx(SPREADS[axis](table).upper ** 2 * 400 / 399)
    assert quality_within(None, luck_at_most(churn, 400)) is None
    assert quality_within(SPREADS[axis](table), None) is None


def test_the_error_rate_gives_the_binomials_variance():
    table = np.array([[90.0, 92.0], [np.nan, 91.0]])
    std = stats.binom(1000, 0.91).std() / 10
    found = luck_by_error_rate(table, 1000)
    assert found == Luck(pytest.approx(std), 1000, at_most=True, by="error rate")
    assert luck_by_error_rate(table / 100, 1000, hundred=1).std == pytest.approx(std / 100)
    assert luck_by_error_rate(np.full((2, 2), np.nan), 1000) is None


def test_a_calibrated_ensemble_of_two_classes_has_half_its_error_as_luck():
    """Votes are beta distributed, and a share q of the votes is right with probability q: E q(1 − q) in closed form."""
    a, b = 0.4, 0.7
    product = a * b / ((a + b) * (a + b + 1))
    assert luck_if_calibrated(100 * 2 * product, 500) == pytest.approx(100 * np.sqrt(product / 500))


def test_the_best_that_is_known_of_the_luck_is_taken():
    right = drawn(np.random.default_rng(8), (3, 3, 200), last_bit=1.0)
    table, predicted = right.mean(-1), Correctness(np.zeros(200), right)
    options = {"axis": OVER_NOISES, "examples": 200}
    assert known_luck(predicted, table, churn=9.0, **options) == luck(predicted, table, axis=OVER_NOISES)
    error_rate = luck_by_error_rate(table, 200)
    assert known_luck(None, table, churn=1.0, **options) == luck_at_most(1.0, 200)
    assert (
        known_luck(None, table, churn=90.0, **options) == known_luck(None, table, churn=None, **options) == error_rate
    )
    assert known_luck(None, table, axis=OVER_NOISES, churn=1.0, examples=None) is None
    bound = luck_at_most(1.0, 200)
    assert known_quality(None, table, bound, axis=OVER_SEEDS) == quality_within(seed_spread(table), bound)
    assert known_quality(predicted, table, bound, axis=OVER_SEEDS) == split(right, OVER_SEEDS)
