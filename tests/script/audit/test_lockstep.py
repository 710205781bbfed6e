import threading

import pytest

from lastbit.script.audit.lockstep import Lockstep


@pytest.fixture
def sides(tmp_path):
    Lockstep.create(tmp_path / "words")
    return [Lockstep(tmp_path / "words", side) for side in (0, 1)]


def both(sides, values):
    """Let each side say its values in a thread of its own; give what each was told."""
    told = [[], []]

    def say(side):
        for event, value in enumerate(values[side]):
            told[side].append(sides[side].agree(event, value))
        sides[side].end()

    threads = [threading.Thread(target=say, args=(side,), daemon=True) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return told


def test_equal_words_agree_and_unequal_ones_do_not_on_both_sides(sides):
    values = [[5, -7, 0, 1 << 61, 3, 9, 0], [5, -7, 0, 1 << 61, 4, 9, 0]]
    assert both(sides, values) == [[True, True, True, True, False, True, True]] * 2
    assert [sides[0].events(side) for side in (0, 1)] == [7, 7]


def test_the_same_word_again_is_not_taken_for_the_next(sides):
    assert both(sides, [[1] * 6, [1] * 5]) == [[True] * 5 + [False], [True] * 5]
    assert sides[0].other_ended


def test_steps_are_counted_for_each_side(sides):
    assert [sides[0].count_step(), sides[0].count_step(), sides[1].count_step()] == [1, 2, 1]
    assert (sides[1].steps(), sides[1].steps(0)) == (1, 2)


def test_one_side_can_end_the_other(sides):
    sides[0].end(1)
    assert sides[0].agree(0, 3) is False
