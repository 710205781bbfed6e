"""The cut against brute force over all cuts, and against series whose cuts are known."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.divergence.segmentation import SHORTEST, _Sums, pieces


def cost(steps, values, cuts):
    sums, ends = _Sums.of(steps, values), [*cuts, len(values)]
    penalty = 4 * np.log(len(values))
    return sum(float(sums.cost(np.array([a]), b)[0]) + penalty for a, b in zip([0, *cuts], ends, strict=True))


def brute_force(steps, values):
    places = range(SHORTEST, len(values) - SHORTEST + 1)
    every = [
        cuts for k in range(3) for cuts in combinations(places, k) if all(b - a >= SHORTEST for a, b in pairwise(cuts))
    ]
    return min(cost(steps, values, list(cuts)) for cuts in every)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(12, 22), st.booleans())
def test_no_other_cut_costs_less(seed, count, spaced):
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.integers(1, 9, count)).astype(float) if spaced else np.arange(count, dtype=float)
    values = np.concatenate([rng.standard_normal(count // 2), 5 + rng.standard_normal(count - count // 2).cumsum()])
    found = [start for start, _ in pieces(steps, values)][1:]
    assert cost(steps, values, found) == pytest.approx(brute_force(steps, values), abs=1e-6)


def test_the_cost_of_a_piece_is_its_likelihood():
    """Against the restricted likelihood of a random walk about a line, up to what depends on the length alone."""
    rng = np.random.default_rng(0)
    steps, values = np.arange(40.0), rng.standard_normal(40).cumsum()
    sums = _Sums.of(steps, values)
    increments = np.diff(values[10:30])
    squares = np.square(increments - increments.mean()).sum()
    expected = (19 + 10) * np.log((squares + 10 * sums.variance) / 29 / sums.variance) + 19 * np.log(sums.variance)
    assert sums._of_walk(np.array([10]), 30)[0] == pytest.approx(expected)


@settings(max_examples=40)
@given(st.floats(0.05, 1), st.floats(-1, -0.05), st.integers(20, 60), st.integers(20, 60))
def test_a_bend_is_found_to_the_step(rate, then, first, second):
    values = np.concatenate([rate * np.arange(first), rate * (first - 1) + then * np.arange(1, second + 1)])
    found = pieces(np.arange(first + second, dtype=float), values)
    assert len(found) == 2
    assert abs(found[1][0] - first) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_random_walk_and_noise_are_left_in_one_piece(seed):
    rng = np.random.default_rng(seed)
    assert len(pieces(np.arange(200.0), 0.3 * np.arange(200) + rng.standard_normal(200).cumsum())) == 1
    assert len(pieces(np.arange(200.0), 0.3 * np.arange(200) + rng.standard_normal(200))) == 1
