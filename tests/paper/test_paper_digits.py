import math

from hypothesis import given
from hypothesis import strategies as st

from lastbit.paper.item import rounded


@given(st.floats(-1e300, 1e300, allow_subnormal=False), st.integers(1, 16))
def test_a_value_moves_by_less_than_half_of_its_last_digit(value, digits):
    (kept,) = rounded([value], digits)
    assert math.isclose(kept, value, rel_tol=0.5000001 * 10.0 ** (1 - digits))
    assert rounded([kept], digits) == [kept]


def test_what_is_not_finite_stays():
    kept = rounded([math.inf, -math.inf, math.nan, 0.0, 123456.0], 3)
    assert kept[:2] == [math.inf, -math.inf]
    assert math.isnan(kept[2])
    assert kept[3:] == [0.0, 123000.0]
