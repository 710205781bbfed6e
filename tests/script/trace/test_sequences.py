from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lastbit.script.trace import sequences
from lastbit.script.trace.sequences import align_keys

FEW = st.lists(st.integers(0, 3), max_size=12)
DISTINCT = st.lists(st.integers(0, 20), unique=True, max_size=15)


def longest(one, other):
    """Length of the longest common subsequence, by Wagner and Fischer's table."""
    row = [0] * (len(other) + 1)
    for key in one:
        before = row
        row = [0]
        for j, candidate in enumerate(other):
            row.append(before[j] + 1 if key == candidate else max(before[j + 1], row[j]))
    return row[-1]


def check_common(one, other, pairs):
    assert all(one[i] == other[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))


@given(FEW, FEW)
def test_pairs_are_a_common_subsequence(one, other):
    pairs = align_keys(one, other)
    check_common(one, other, pairs)
    assert bool(pairs) == bool(set(one) & set(other))


@given(DISTINCT, DISTINCT)
def test_of_distinct_keys_it_is_the_longest(one, other):
    assert len(align_keys(one, other)) == longest(one, other)


@given(FEW, st.sets(st.integers(0, 11)))
def test_what_is_left_out_of_a_sequence_is_all_that_has_no_partner(one, dropped):
    marked = [(key, place) for place, key in enumerate(one)]
    other = [key for place, key in enumerate(marked) if place not in dropped]
    assert len(align_keys(marked, other)) == len(other)


@given(FEW, FEW)
def test_too_many_equal_keys_are_paired_in_order(one, other):
    most, sequences._MOST_TRIED = sequences._MOST_TRIED, -1
    try:
        pairs = align_keys(one, other)
    finally:
        sequences._MOST_TRIED = most
    check_common(one, other, pairs)
    assert bool(pairs) == bool(set(one) & set(other))


def test_a_long_chain_of_anchors_is_no_recursion():
    one = [key for n in range(5000) for key in (n, -1)]
    other = [key for n in range(5000) for key in (n, -1, -1)]
    assert len(align_keys(one, other)) == 10_000
