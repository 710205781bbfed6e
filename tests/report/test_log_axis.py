import json
import math
import xml.etree.ElementTree as ET

import altair as alt
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.libraries import vega_lite_version
from lastbit.report.log_axis import count_axis, decades, power_axis, steps

distances = st.lists(st.just(0.0) | st.floats(min_value=1e-20, max_value=2), min_size=1).filter(any)
step_lists = st.lists(st.integers(min_value=0, max_value=10**7), min_size=1)


@given(distances)
def test_every_value_has_a_place_on_the_axis_and_zero_is_below_all_others(values):
    axis = decades(values)
    assert axis.has_zero == (0 in values)
    smallest = min(value for value in values if value > 0)
    assert axis.foot <= smallest <= max(values) <= axis.top
    if axis.has_zero:
        assert axis.foot < smallest


@given(step_lists)
def test_every_step_has_a_place_on_the_axis(values):
    axis = steps(values)
    assert 0 < axis.foot < axis.top
    assert all(axis.foot <= (value or 0.5) <= axis.top for value in values)


@given(step_lists, st.sampled_from([(1,), (1, 2, 5)]))
def test_there_is_always_a_tick_and_none_lies_outside(values, factors):
    axis = steps(values)
    ticks = axis.ticks(factors)
    assert ticks == sorted(set(ticks))
    assert 1 <= len(ticks) <= 3 * 13
    assert all(axis.foot <= tick <= axis.top for tick in ticks)
    assert (axis.foot in ticks) or not axis.has_zero


def test_ticks_are_decades_with_more_between_them_where_there_is_room():
    assert decades([3e-9, 0.2]).ticks() == [float(f"1e{exponent}") for exponent in range(-9, 1)]
    assert steps([1, 288]).ticks((1, 2, 5)) == [1, 2, 5, 10, 20, 50, 100, 200]
    assert steps([7]).ticks() == [10]
    assert steps([20, 30]).ticks() == [20]


def _tick_labels(x_axis: alt.Axis, x_scale: alt.Scale, y_axis: alt.Axis, y_scale: alt.Scale) -> list[str]:
    """What Vega itself draws."""
    chart = (
        alt.Chart(alt.InlineData(values=[{"x": x_scale.domain[1], "y": y_scale.domain[1]}]))
        .mark_point()
        .encode(x=alt.X("x:Q", axis=x_axis, scale=x_scale), y=alt.Y("y:Q", axis=y_axis, scale=y_scale))
    )
    svg = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()), vl_version=vega_lite_version())
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_vega_labels_the_ticks_and_the_place_of_zero():
    x, y = steps([0, 1, 2000]), decades([0.0, 2e-4, 0.2])
    labels = _tick_labels(count_axis(x, "X"), x.scale(), power_axis(y, "Y"), y.scale())
    assert labels == ["0", "1", "10", "100", "1,000", "X", "0", "1e-4", "1e-3", "1e-2", "1e-1", "1e0", "Y"]


def test_a_single_step_is_labelled():
    x, y = steps([250]), decades([0.2])
    labels = _tick_labels(count_axis(x, "X"), x.scale(), power_axis(y, "Y"), y.scale())
    assert labels == ["500", "X", "1e-1", "1e0", "Y"]


def test_positions_move_only_zero():
    axis = decades([0.0, 1e-3])
    assert axis.position("value") == "datum.value > 0 ? datum.value : 0.0001"
    assert math.isclose(axis.foot, 1e-4)
