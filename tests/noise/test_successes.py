from itertools import accumulate

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from lastbit.noise import rounding as bernoulli
from lastbit.noise.rounding import successes, successes_by_part

PROBABILITIES = st.floats(1e-4, 1) | st.just(1.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(trials=st.integers(1, 5000), p=PROBABILITIES, seed=st.integers(0, 2**32))
def test_successes_are_distinct_trials_and_as_many_as_binomial(trials, p, seed):
    found = successes(trials, p, generator(seed))
    assert found.dtype == torch.int64
    assert (found.diff() > 0).all()
    assert len(found) == 0 or (found[0] >= 0 and found[-1] < trials)
    low, high = binom.interval(1 - 1e-12, trials, p)
    assert low <= len(found) <= high


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_every_trial_and_every_pair_of_neighbours_has_its_probability(p):
    trials, rounds = 40, 1500
    counts, pairs, stream = torch.zeros(trials), 0, generator()
    for _ in range(rounds):
        found = successes(trials, p, stream)
        counts[found] += 1
        pairs += int((found.diff() == 1).sum())
    assert chisquare(counts, counts.mean().expand(trials)).pvalue > 1e-6
    low, high = binom.interval(1 - 1e-9, rounds * trials, p)
    assert low <= counts.sum() <= high
    # Neighbouring pairs overlap, so their number spreads a little more than binomially.
    expected = rounds * (trials - 1) * p**2
    assert abs(pairs - expected) < 6 * (3 * expected) ** 0.5 + 6


def test_more_is_drawn_where_the_first_draw_does_not_reach_the_end(monkeypatch):
    monkeypatch.setattr(bernoulli, "sqrt", lambda _: -100)
    trials, p = 100_000, 0.02
    found = successes(trials, p, generator())
    assert (found.diff() > 0).all()
    low, high = binom.interval(1 - 1e-9, trials, p)
    assert low <= len(found) <= high
    assert found[-1] > trials - 2000


def test_the_ends_of_p():
    assert torch.equal(successes(7, 1, generator()), torch.arange(7))
    assert len(successes(10**12, 1e-300, generator())) == 0


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8), p=PROBABILITIES, seed=st.integers(0, 1000))
def test_parts_are_the_whole_cut(sizes, p, seed):
    parts = successes_by_part(sizes, p, generator(seed))
    starts = [0, *accumulate(sizes)]
    assert len(parts) == len(sizes)
    assert all(((part >= 0) & (part < size)).all() for part, size in zip(parts, sizes, strict=True))
    joined = torch.cat([part + start for part, start in zip(parts, starts, strict=False)])
    assert torch.equal(joined, successes(sum(sizes), p, generator(seed)))
