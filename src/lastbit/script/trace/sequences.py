"""Aligns two sequences of keys that mostly agree, in nearly linear time."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher

Pairs = list[tuple[int, int]]  # positions in the one sequence and in the other, both rising

_MOST_TRIED = (
    2_000_000  # pairs of equal keys up to which the middle of two sequences is searched for its longest blocks
)


def align_keys(one: Sequence[Hashable], other: Sequence[Hashable]) -> Pairs:
    """Pair the places of equal keys so that both rise: a long common subsequence, like that of `diff`.

    The common beginning and end are paired first. In between, keys that are unique in both are anchors (Bram Cohen's
    patience diff: their longest rising chain by a sort), and what lies between two anchors is aligned in the same way,
    or by its longest common blocks (Ratcliff and Obershelp, `difflib`) where no key is unique.

    Args:
        one: of n keys.
        other: of m keys.

    Returns:
        Pairs of places, in rising order. Time O((n + m) log(n + m)) where keys are mostly unique.
    """
    pairs: Pairs = []
    # A stack in place of recursion, which chains of anchors could exhaust.
    todo = [(0, len(one), 0, len(other))]
    while todo:
        low, high, first, last = todo.pop()
        while low < high and first < last and one[low] == other[first]:
            pairs.append((low, first))
            low, first = low + 1, first + 1
        while low < high and first < last and one[high - 1] == other[last - 1]:
            high, last = high - 1, last - 1
            pairs.append((high, last))
        if low == high or first == last:
            continue
        anchors = _anchors(one[low:high], other[first:last])
        if anchors:
            # Each part but the first begins with its anchor, so that every part is smaller than the whole.
            starts = [(low, first), *((low + i, first + j) for i, j in anchors)]
            stops = [*starts[1:], (high, last)]
            todo += [(i, k, j, m) for (i, j), (k, m) in zip(starts, stops, strict=True)]
        else:
            pairs += _by_blocks(one[low:high], other[first:last], low, first)
    return sorted(pairs)


def _anchors(one: Sequence[Hashable], other: Sequence[Hashable]) -> Pairs:
    """The longest rising chain of keys that are unique in both."""
    counts, others = Counter(one), Counter(other)
    place = {key: j for j, key in enumerate(other) if others[key] == 1}
    pairs = [(i, place[key]) for i, key in enumerate(one) if counts[key] == 1 and key in place]
    ends: list[int] = []  # last place in `other` of the best chain of each length
    chain: list[int] = []  # the pair at that end
    before: list[int] = []  # for each pair, the pair before it in its chain
    for number, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        ends[length : length + 1] = [j]
        before.append(chain[length - 1] if length else -1)
        chain[length : length + 1] = [number]
    longest, number = [], chain[-1] if chain else -1
    while number >= 0:
        longest.append(pairs[number])
        number = before[number]
    return longest[::-1]


def _by_blocks(one: Sequence[Hashable], other: Sequence[Hashable], low: int, first: int) -> Iterator[tuple[int, int]]:
    """The longest common blocks; where too many keys are equal for that, the n-th of a key with the n-th."""
    counts = Counter(other)
    if sum(counts[key] for key in one) <= _MOST_TRIED:
        for i, j, size in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks():
            yield from ((low + i + k, first + j + k) for k in range(size))
        return
    places: dict[Hashable, list[int]] = {}
    for j in range(len(other) - 1, -1, -1):
        places.setdefault(other[j], []).append(j)
    latest = -1
    for i, key in enumerate(one):
        rest = places.get(key, [])
        while rest and rest[-1] <= latest:
            rest.pop()
        if rest:
            latest = rest.pop()
            yield low + i, first + latest
