"""The search along a step against functions whose crossing is known."""

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lastbit.curvature.line_search import BRACKET, TRIALS, LineCrossing, crossing


def quadratic(root: float, slope: float = -1.0) -> Callable[[float], float]:
    return lambda at: slope * at * (1 - at / root)


def searched(change: Callable[[float], float], **options: float | bool) -> tuple[LineCrossing, int]:
    calls = []

    def counted(at: float) -> float:
        calls.append(at)
        return change(at)

    return crossing(counted, **options), len(calls)  # type: ignore[arg-type]


@example(root=1.0, slope=-1.0)  # met exactly by the first trial
@example(root=2.0, slope=-1.0)
@given(root=st.floats(1e-3, 1e3), slope=st.floats(-100, -1e-3))
def test_a_quadratic_is_bracketed_from_a_cold_start_over_six_decades(root: float, slope: float) -> None:
    found, calls = searched(quadratic(root, slope))
    assert calls <= TRIALS
    assert found.converged
    assert found.lower <= root * (1 + 1e-9)
    assert root * (1 - 1e-9) <= found.upper <= found.lower * (1 + BRACKET)
    assert found.multiple == pytest.approx(root, rel=1e-6)


@given(root=st.floats(0.1, 10), off=st.floats(0.8, 1.25))
def test_a_crossing_found_before_is_found_again(root: float, off: float) -> None:
    """Here of a loss that grows exponentially."""
    found, calls = searched(lambda at: at * (math.exp(3 * at / root) - math.exp(3)), start=root * off, known=True)
    assert found.converged
    assert calls <= TRIALS
    assert found.lower <= root * (1 + 1e-9)
    assert root * (1 - 1e-9) <= found.upper
    if abs(off - 1) < 0.02:
        assert calls == 2


def test_what_was_tried_is_known_where_the_loss_only_falls_or_only_rises() -> None:
    falling, calls = searched(lambda at: -at)
    assert (calls, falling.upper) == (TRIALS, math.inf)
    assert falling.lower == falling.multiple == max(at for at, _ in falling.changes)
    rising, calls = searched(lambda at: at)
    assert (calls, rising.lower) == (TRIALS, 0)
    assert rising.upper == rising.multiple == min(at for at, _ in rising.changes) < 0.01
    assert not falling.converged
    assert not rising.converged


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_counts_as_raised(broken: float) -> None:
    found, _ = searched(lambda at: quadratic(50.0)(at) if at < 1.5 else broken)
    assert 1 <= found.lower < 1.5 <= found.upper <= 2


def test_bounds_stay_in_order_where_the_loss_falls_again() -> None:
    found, _ = searched(lambda at: 1.0 if 0.9 < at < 1.5 else -1.0)
    assert found.lower < found.upper
    assert found.lower <= 0.9
    assert dict(found.changes)[found.upper] > 0 >= dict(found.changes)[found.lower]
