import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.numbers import duration
from lastbit.report.paper import Tally, in_words, tally
from lastbit.report.paper.words import interval_in_words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (0.1, "0.1"),
        (13_000_000.0, "1.3e7"),
        (7377, "7,377"),
        (2_000_000, "2e6"),
        ("stable", "stable"),
        ([], "none"),
        ([1, 2.5, None], "1, 2.5, –"),
        ([[1, 2], [3, 4]], "(1, 2), (3, 4)"),
        ({"blow_up_step": 912, "growth": 2.19123}, "blow up step: 912; growth: 2.191"),
        ({"1": [90, 100], "2": {"a": None}}, "1: (90, 100); 2: (a: –)"),
    ],
)
def test_values_of_any_shape_are_put_in_words(value, words):
    assert in_words(value) == words


def test_an_interval_has_two_ends():
    assert interval_in_words([0.09, 0.1]) == "0.09 to 0.1"
    assert interval_in_words([2.0, 2.0]) == "2"
    assert interval_in_words([None, 1]) == "– to 1"
    assert interval_in_words(None) == "–"
    assert interval_in_words([1, 2, 3]) == "1, 2, 3"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (25.4, "25 s"),
        (89, "89 s"),
        (91, "2 min"),
        (3600, "60 min"),
        (5401, "1.5 h"),
        (36 * 3600, "36.0 h"),
        (10 * 86400, "10 days"),
    ],
)
def test_durations_have_the_unit_that_people_would_say(seconds, words):
    assert duration(seconds) == words


@given(st.lists(st.sampled_from([True, False, None])))
def test_every_claim_is_counted_once(outcomes):
    found = tally({"holds": outcome} for outcome in outcomes)
    assert found.total == len(outcomes)
    assert (found.hold, found.fail, found.undecided) == tuple(map(outcomes.count, (True, False, None)))


def test_a_tally_is_a_sentence_and_marks():
    assert Tally(9, 2, 1).sentence == "Of 12 claims 9 hold, 2 do not and 1 is not decided"
    assert Tally(1, 0, 0).sentence == "Of 1 claim 1 holds"
    assert Tally(0, 1, 2).sentence == "Of 3 claims 0 hold, 1 does not and 2 are not decided"
    assert Tally(9, 2, 1).marks == "✓ 9 ✗ 2 ? 1"
    assert Tally(3, 0, 0).marks == "✓ 3"
