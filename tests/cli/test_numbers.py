import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.cli.options import parse_numbers


@given(st.lists(st.integers(0, 999), min_size=1))
def test_lists_come_back_in_order(numbers):
    assert parse_numbers(",".join(map(str, numbers)), "--k") == numbers


@given(st.integers(0, 99), st.integers(0, 20))
def test_ranges_hold_both_ends(first, more):
    assert parse_numbers(f"{first}-{first + more}", "--k") == list(range(first, first + more + 1))


def test_mixed():
    assert parse_numbers("1, 3,7-9", "--k") == [1, 3, 7, 8, 9]


@pytest.mark.parametrize("text", ["", ",", "1,", "a", "-1", "1-", "1.5", "1--2", "²"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="write whole numbers and ranges"):
        parse_numbers(text, "--k")
