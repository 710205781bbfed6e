import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.numbers import (
    axis_format,
    count_range,
    difference_decimals,
    joined,
    number,
    percent,
    plain,
    points,
    scientific,
    scientific_range,
    signed,
    spread,
)


def test_numbers_have_their_decimals_and_missing_ones_a_dash():
    assert [number(value, 2) for value in (93.364, 82.39999999999999, 100.0, None)] == ["93.36", "82.40", "100.00", "–"]


def test_a_spread_that_is_not_zero_never_reads_as_zero():
    assert [points(value) for value in (0.0, 0.0001, 0.0049, 0.005, 0.143, None)] == [
        "0.00",
        "<0.01",
        "<0.01",
        "0.01",
        "0.14",
        "–",
    ]
    assert [percent(share) for share in (0.0, 0.001, 0.38253, 1.0)] == ["0 %", "<1 %", "38 %", "100 %"]


def test_numbers_that_need_many_digits_have_a_power_of_ten_and_the_same_last_place():
    tiny = [number(value, 302) for value in (5.3e-301, -1.234e-299, 0.0, 4e-303)]
    assert tiny == ["5.3e-301", "-1.234e-299", "0", "0"]
    assert [number(value, -98) for value in (1.2345e100, 9.87e98, 3e97)] == ["1.23e100", "1e99", "0"]
    assert number(123456789012.3, 1) == "123456789012.3"
    assert number(1234567890123.4, 1) == "1.2345678901234e12"
    assert number(1.23456e99, 2) == "1.235e99"  # whose digits up to there nobody knows
    assert [signed(value, 2) for value in (0.314, -0.314, 0.0, None)] == ["+0.31", "-0.31", "+0.00", "–"]
    assert spread(1e-60, 50) == "<1e-50"
    assert [axis_format(decimals) for decimals in (0, 4, 302, -98)] == [",.0f", ",.4f", ".3~g", ".3~g"]


@pytest.mark.parametrize(
    ("error", "decimals"),
    [(0.0123, 3), (120.0, 0), (1e8, 0), (1.5e100, -99), (2e-310, 300), (0, 2), (math.inf, 2), (math.nan, 2)],
)
def test_decimals_show_two_digits_of_the_error_whatever_its_size(error, decimals):
    assert difference_decimals(error, in_points=False) == decimals


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_scientific_numbers_have_two_significant_digits(value):
    text = scientific(value)
    mantissa, exponent = text.split("e")
    assert len(mantissa) == 3
    assert 1 <= float(mantissa) < 10
    assert str(int(exponent)) == exponent
    # Half a unit of the second digit, relative to the least mantissa, and a little for the float itself.
    assert math.isclose(float(text), value, rel_tol=0.0501)


def test_zero_has_no_exponent():
    assert scientific(0.0) == "0"
    assert scientific(3.1e-05) == "3.1e-5"


def test_a_range_names_its_ends_once_where_they_agree():
    assert scientific_range([0.2, 0.11, 0.12]) == "between 1.1e-1 and 2.0e-1"
    assert scientific_range([0.121, 0.119]) == "1.2e-1"
    assert count_range(iter([1024, 24, 30])) == "24 to 1,024"
    assert count_range([1024, 1024]) == "1,024"


def test_a_spread_has_the_decimals_of_its_metric():
    assert [spread(value, 4) for value in (0.0, 0.00004, 0.00006, 0.12345)] == ["0.0000", "<0.0001", "0.0001", "0.1235"]
    assert [spread(value, 0) for value in (0.0, 0.4, 3.6)] == ["0", "<1", "4"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((True, "yes"), (False, "no"), (None, "–"), ("", "–"), (0.0005, "0.0005"), (1e-08, "1e-08"), (0.1, "0.1")),
        *(([0.9, 0.999], "0.9, 0.999"), (128, "128"), ("sgd", "sgd"), (0.0, "0.0"), ([], "")),
    ],
)
def test_settings_read_as_people_write_them(value, text):
    assert plain(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_settings_keep_every_digit(value):
    assert Decimal(plain(value)) == Decimal(repr(value))


def test_lists_read_as_sentences():
    assert joined(["a"]) == "a"
    assert joined(iter(["a", "b"])) == "a and b"
    assert joined(["a", "b", "c"]) == "a, b and c"


def test_a_difference_that_rounds_to_nothing_has_no_minus():
    assert [signed(value, 1) for value in (-0.04, 0.04, -0.06, 0.0)] == ["+0.0", "+0.0", "-0.1", "+0.0"]
