"""Comparisons of plain numbers against scipy, brute force and simulation."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import lastbit as lb
from lastbit.statistics.means import exchanged, flipped_signs
from lastbit.study.comparison.findings import better_in_words
from lastbit.study.comparison.replicates import replicates, single_run_design
from lastbit.study.comparison.two import read_sides

A = [93.36, 93.40, 93.10, 93.14, 93.34, 93.33]
B = [92.99, 93.31, 93.49, 92.90, 93.14, 93.06]


def test_pairs_are_scipys_paired_t():
    found, expected = lb.compare(A, B, paired=True), stats.ttest_rel(A, B)
    interval = expected.confidence_interval()
    assert (found.test.kind, found.test.dof) == ("paired t", 5)
    assert found.test.t == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(np.mean(A) - np.mean(B))
    assert found.standard_error == pytest.approx(stats.sem(np.subtract(A, B)))


@pytest.mark.parametrize("b", [B, B[:3]])
def test_samples_are_scipys_welch_t(b):
    found, expected = lb.compare(A, b), stats.ttest_ind(A, b, equal_var=False)
    interval = expected.confidence_interval()
    assert found.paired is None
    assert found.test.kind == "Welch t"
    assert (found.test.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.test.dof == pytest.approx(expected.df)
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_flipped_signs_by_brute_force():
    differences = np.subtract(A, B)
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=6)]
    found = flipped_signs(differences)
    assert found.p == pytest.approx(np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12))
    assert (found.least_p, found.exact) == (2 / 64, True)
    assert lb.compare(A, B, paired=True).permutation == found


def test_exchanged_labels_by_brute_force():
    together = np.array(A[:4] + B[:4])
    observed = abs(np.mean(together[:4]) - np.mean(together[4:]))
    means = [together[list(one)].mean() - np.delete(together, one).mean() for one in combinations(range(8), 4)]
    found = exchanged(together[:4], together[4:])
    assert found.p == pytest.approx(np.mean(np.abs(means) >= observed - 1e-12))
    assert found.least_p == 2 / 70
    assert lb.compare(A[:4], B[:4]).permutation == found


def test_many_runs_are_permuted_at_random_but_always_alike():
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.5, 1, 40), generator.normal(0, 1, 40)
    found = exchanged(a, b)
    assert not found.exact
    assert found == exchanged(a, b)
    assert found.p == pytest.approx(stats.ttest_ind(a, b).pvalue, abs=0.01)


def means_tested(a, b, paired):
    """What `compare` tests, without the permutations, which would make simulations slow."""
    found = replicates(*read_sides(a, b, ""), paired=paired)
    return found.paired_test() or found.unpaired_test()


def test_simulations_look_at_the_test_of_the_comparison():
    for paired in (True, False):
        assert means_tested(A, B, paired) == lb.compare(A, B, paired=paired).test


def nested(generator, seeds, noises, seed_std, noise_std, mean=0.0):
    return mean + generator.normal(0, seed_std, (1, seeds)) + generator.normal(0, noise_std, (noises, seeds))


@pytest.mark.parametrize(("paired", "other"), [(True, 1.0), (False, 0.4)])
def test_runs_that_share_a_batch_order_keep_the_size_and_coverage_of_the_test(paired, other):
    """Half of the batch order's effect is common to both recipes; with six runs at each of five seeds."""
    generator = np.random.default_rng(2)
    covered, naive = [], []
    for _ in range(600):
        shared = generator.normal(0, 0.7, (1, 5)) if paired else 0
        a = shared + nested(generator, 5, 6, 0.7, 0.5, mean=0.3)
        b = shared + nested(generator, 5, 6, 0.7 * other, 0.5)
        found = means_tested(a, b, paired)
        covered.append(found.lower <= 0.3 <= found.upper)
        naive.append(stats.ttest_ind(a.ravel() - 0.3, b.ravel()).pvalue < 0.05)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.027)
    # Thirty runs taken as thirty repetitions find a difference that is not there far more often than one time in 20.
    assert np.mean(naive) > 0.2


def test_the_design_of_single_runs_has_the_spread_of_single_runs():
    """From six noises a seed, the least gain of n runs without repeated noises."""
    generator = np.random.default_rng(3)
    variances = []
    for _ in range(300):
        a, b = read_sides(nested(generator, 6, 6, 0.5, 1.0), nested(generator, 6, 6, 0.5, 1.0), "")
        found = [replicates(a, b, paired=paired) for paired in (True, False)]
        variances.append([single_run_design(a, b, each).std ** 2 for each in found])
    assert np.mean(variances, axis=0) == pytest.approx(2 * (0.5**2 + 1.0**2), rel=0.06)


def test_a_comparison_like_this_shows_its_detectable_gain_in_four_of_five_cases():
    generator = np.random.default_rng(4)
    gain = lb.compare(A, B, paired=True).detectable
    spread = np.std(np.subtract(A, B), ddof=1)
    draws = generator.normal(gain, spread, (20_000, 6))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


def test_the_floor_is_what_the_last_bit_does_to_two_single_runs():
    found = lb.compare([[1.0, 2.0], [1.2, 2.4]], [[3.0, 4.0], [3.1, 4.3]])
    std = np.sqrt(np.mean([np.var([0, 0.2], ddof=1), np.var([0, 0.4], ddof=1), 0.1**2 / 2, 0.3**2 / 2]))
    assert found.noise_floor == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(2) * std)
    assert lb.compare(A, B).noise_floor is None


values = hnp.arrays(float, st.integers(2, 6), elements=st.floats(-100, 100, width=32))
tables = hnp.arrays(float, (2, 4), elements=st.floats(-100, 100, width=32))


def look_like_one_unit(a, b):
    """Percent against fractions is refused, and has its own test."""
    both = np.concatenate([np.ravel(a), np.ravel(b)])
    return both.min() < 0 or both.max() > 100 or both.max() <= 1 or both.min() > 1


@given(tables, tables, st.booleans())
@settings(max_examples=40)
def test_exchanging_the_recipes_changes_the_sign_alone(a, b, paired):
    assume(look_like_one_unit(a, b))
    one, other = lb.compare(a, b, paired=paired), lb.compare(b, a, paired=paired)
    assert one.difference == -other.difference
    assert one.interval == (None if other.interval is None else (-other.interval[1], -other.interval[0]))
    assert (one.p, one.permutation, one.runs_needed()) == (other.p, other.permutation, other.runs_needed())
    assert one.noise_floor == pytest.approx(other.noise_floor)


@given(values, values, st.integers(-50, 50), st.sampled_from([0.25, 2.0, 64.0, -4.0]))
@settings(max_examples=40)
def test_an_offset_changes_nothing_and_a_unit_only_the_unit(a, b, offset, unit):
    assume(all(look_like_one_unit(*pair) for pair in ((a, b), (a + offset, b + offset), (unit * a, unit * b))))
    found = lb.compare(a, b)
    moved, scaled = lb.compare(a + offset, b + offset), lb.compare(unit * a, unit * b)
    assert moved.difference == pytest.approx(found.difference, abs=1e-9)
    assert moved.standard_error == pytest.approx(found.standard_error, abs=1e-9)
    assert scaled.difference == unit * found.difference
    assert scaled.standard_error == abs(unit) * found.standard_error
    assert (scaled.p, scaled.permutation) == (found.p, found.permutation)


@pytest.mark.parametrize(("a", "b"), [([1.0, 1.0], [1.0, 1.0]), ([0.1, 0.3], [0.1, 0.3])])
@pytest.mark.parametrize("paired", [True, False])
def test_no_difference_is_no_finding(a, b, paired):
    found = lb.compare(a, b, paired=paired)
    assert (found.difference, found.p, found.is_distinguishable, found.runs_needed()) == (0, 1, False, None)
    assert "+0.00" in found.verdict
    assert "not distinguishable" in found.verdict


@pytest.mark.parametrize("paired", [True, False])
def test_two_runs_that_do_not_vary_are_left_to_the_permutation_test(paired):
    found = lb.compare([0.3, 0.3], [0.1, 0.1], paired=paired)
    assert (found.standard_error, found.test.p) == (0, 0)
    assert found.p == found.permutation.p >= 1 / 3
    assert not found.is_distinguishable
    assert found.interval is None
    assert found.verdict.startswith("All 2 runs of a gave 0.3: they look like one run counted 2 times")
    assert "+0.20, without an interval: not distinguishable from noise" in found.verdict
    assert "the smallest p that so few runs can give" in found.verdict


def test_a_difference_that_varies_only_by_rounding_does_not_vary():
    found = lb.compare([93.1, 93.4, 92.9], [92.8, 93.1, 92.6], paired=True)
    assert np.std(np.subtract([93.1, 93.4, 92.9], [92.8, 93.1, 92.6])) > 0
    assert found.standard_error == 0
    assert found.difference == pytest.approx(0.3)
    assert found.interval is None
    assert found.verdict.startswith("The difference does not vary at all, so it has no interval")


def test_diverged_runs_count_nowhere_and_are_named():
    found = lb.compare([1.0, 2.0, np.nan, 4.0], [1.5, np.inf, 3.5, 4.2], paired=True)
    assert found.difference == pytest.approx(np.mean([1.0 - 1.5, 4.0 - 4.2]))
    assert found.a.lost == ("run 3 (nan)",)
    assert found.verdict.endswith("Not counted in a: run 3 (nan). Not counted in b: run 2 (inf).")
    unpaired = lb.compare([1.0, 2.0, np.nan, 4.0], [1.5, np.inf, 3.5, 4.2])
    assert unpaired.difference == pytest.approx(np.mean([1, 2, 4]) - np.mean([1.5, 3.5, 4.2]))
    many = lb.compare([1.0, 2.0, *[np.nan] * 9], [1.0, 2.5]).verdict
    assert "run 8 (nan); and 3 more." in many


def test_the_verdict_in_both_cases():
    """Two seeds are beyond any test at 5 %; six with a gain of three standard deviations are not."""
    unsure = lb.compare(A, B, paired=True)
    low, high = stats.ttest_rel(A, B).confidence_interval()
    assert unsure.verdict == (
        f"a − b: {unsure.difference:+.2f}, 95 % interval {low:.2f} to {high:.2f}: not distinguishable from noise with "
        f"6 runs of each; a difference as large as this takes {unsure.runs_needed()} runs of each to show "
        "(80 % power)."
    )
    assert unsure.runs_needed() > 6
    sure = lb.compare([value + 1 for value in A], B)
    assert "more than noise with 6 runs of each (p < 0.001)" in sure.verdict


def test_one_batch_order_is_compared_run_by_run_and_reported():
    a, b = [[1.0], [1.2], [1.1]], [[2.0], [2.4]]
    found = lb.compare(a, b)
    assert found.p == pytest.approx(stats.ttest_ind(np.ravel(a), np.ravel(b), equal_var=False).pvalue)
    assert found.replicates.only_seed == 1
    assert found.verdict.startswith("All runs compared share one seed (1)")
    assert "with 3 and 2 runs" in found.verdict


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        ([93.0], [92.0, 93.0], "a has one finished run only"),
        ([93.0, 92.0], [[92.0], [np.nan]], "b has one finished run only"),
        ([[93.0], [92.0]], [92.0, 93.0], "a has one finished seed only"),
        ([np.nan, np.nan], [92.0, 93.0], r"a has no finished run to compare: run 1 \(nan\); run 2 \(nan\)"),
        ([], [92.0, 93.0], r"a has shape \(0,\)"),
        ([92.0, 93.0], None, "b is None: give a study's directory, its results, the final metrics of its runs"),
        (np.zeros((2, 2, 2)), [92.0, 93.0], r"a has shape \(2, 2, 2\)"),
        ([93.0, "high"], [92.0, 93.0], "a is neither a study nor numbers"),
        ([93.0, 92.0], object(), "b is neither a study nor numbers.*got object"),
        ("nowhere", [92.0, 93.0], "there is no directory nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, complaint):
    with pytest.raises(ValueError, match=complaint):
        lb.compare(a, b)


def test_pairs_need_partners():
    with pytest.raises(ValueError, match="pairs need the same seeds on both sides: a has 1, 2, 3, b has 1, 2"):
        lb.compare([1.0, 2.0, 3.0], [1.0, 2.0], paired=True)
    with pytest.raises(ValueError, match="only 1 pair of seeds has a finished run on both sides"):
        lb.compare([1.0, 2.0, np.nan], [1.0, np.nan, 3.0], paired=True)


def test_it_shows_itself_in_a_line_with_the_decimals_that_it_writes():
    found = lb.compare(A, B, paired=True)
    low, high = found.interval
    assert (
        repr(found)
        == f"<Comparison a − b: {found.difference:+.2f}, 95 % interval {low:.2f} to {high:.2f} (p = {found.p:.3f})>"
    )
    assert found.decimals == 2
    assert lb.compare([0.9312, 0.9355], [0.9301, 0.9322]).decimals == 4


def test_a_notebook_shows_the_verdict_and_then_the_tests():
    found = lb.compare({1: 0.93, 2: 0.95, 3: 0.935}, {1: 0.92, 2: 0.925, 3: 0.93})
    html = found._repr_html_()
    assert html.startswith(f"<p><b>{found.verdict}</b></p><table>")
    assert html.count("<table>") == 2
    assert ">pairs of seeds (t)</td>" in html
    low, high = found.interval
    assert f">{low:.{found.decimals}f} to {high:.{found.decimals}f}</td>" in html


@pytest.mark.parametrize(
    ("metric", "difference", "said"),
    [("test_accuracy", 0.1, ", a is better"), ("val_loss", 0.1, ", b is better"), ("val_loss", -0.1, ", a is better")],
)
def test_which_is_better_is_said_where_the_metric_tells(metric, difference, said):
    assert better_in_words(metric, "a", "b", difference) == said
    assert better_in_words("value", "a", "b", difference) == ""


def test_a_difference_beyond_noise_has_no_end_at_zero():
    new, old = [93.4, 93.1, 93.3, 93.6, 93.0, 93.5], [93.0, 93.2, 92.9, 93.1, 93.0, 93.2]
    low, high = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.95)
    assert 0 < low < 0.005
    assert f"95 % interval {low:.3f} to {high:.3f}: more than noise" in lb.compare(new, old).verdict
    several = lb.compare(old, new, within=5.0)
    assert f"95 % interval {low:.3f} to {high:.3f} (" in several.verdict
    assert several.notes[0].startswith("The difference is b minus a, the baseline: where neither")


def test_numbers_of_runs_are_written_with_separators():
    near = lb.compare([1.0, 2.0, 3.0, 4.0], [1.03, 2.0, 3.0, 4.0])
    assert near.runs_needed() > 1000
    assert f"takes {near.runs_needed():,} runs of each" in near.verdict
