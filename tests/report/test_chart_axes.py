import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import altair as alt
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.charts.axes import Axis, decades, spanned, steps
from lastbit.report.charts.figure import vega_lite_version

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


def _tick_labels(x, y) -> list[str]:
    """What Vega itself draws."""
    base = alt.Chart(alt.InlineData(values=[{"x": x.range.top, "y": y.range.top}])).mark_point()
    svg = vl_convert.vegalite_to_svg(
        json.dumps(base.encode(x=x.x("x"), y=y.y("y")).to_dict()), vl_version=vega_lite_version()
    )
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_vega_labels_the_ticks_and_the_place_of_zero():
    x = Axis("X", log=True, counts=True).fit([0, 1, 2000])
    y = Axis("Y", log=True).fit([0.0, 2e-4, 0.2])
    steps_drawn = ["0", "1", "10", "100", "1,000", "X (log scale)"]
    assert _tick_labels(x, y) == [*steps_drawn, "0", "1e-4", "1e-3", "1e-2", "1e-1", "1e0", "Y (log scale)"]


def test_a_single_step_and_a_single_value_are_labelled():
    x, y = Axis("X", log=True, counts=True).fit([250]), Axis("Y", log=True).fit([0.2])
    assert _tick_labels(x, y) == ["300", "400", "500", "X (log scale)", "0.2", "Y (log scale)"]


def test_labels_are_written_out_where_all_of_them_have_room():
    assert list(Axis("", log=True).fit([0.02, 0.9]).labels().values()) == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert list(Axis("", log=True).fit([2e-9, 8e-8]).labels().values()) == ["2e-9", "5e-9", "1e-8", "2e-8", "5e-8"]
    gains = Axis("", log=True, counts=True, ticks=(2, 3, 50)).fit([2, 50])
    assert gains.labels() == {2: "2", 3: "3", 50: "50"}


@given(st.lists(st.floats(min_value=1e-20, max_value=1e20), min_size=1))
def test_values_of_few_sizes_get_a_range_of_their_own_with_ticks_inside(values):
    drawn = spanned(values)
    assert drawn.foot < min(values) <= max(values) <= drawn.top or drawn == decades(values)
    assert all(drawn.foot <= tick <= drawn.top for tick in drawn.round_ticks())


def test_padding_of_a_linear_axis_adds_no_tick_below_zero():
    x, y = (replace(Axis(name).fit([0.0, 3.0]), padding=8) for name in "XY")
    values = [{"x": 0.0, "y": 0.0}, {"x": 3.0, "y": 3.0}]
    chart = alt.Chart(alt.InlineData(values=values), width=400).mark_point().encode(x=x.x("x"), y=y.y("y"))
    svg = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()), vl_version=vega_lite_version())
    root = ET.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    numbers = [float(text.replace("\u2212", "-")) for text in texts if text not in "XY"]
    assert min(numbers) == 0
    assert max(numbers) == 3
    paths = root.iter("{http://www.w3.org/2000/svg}path")
    points = [path.get("transform") for path in paths if path.get("aria-roledescription") == "point"]
    at = sorted(float(point.partition("(")[2].partition(",")[0]) for point in points)
    assert at == [8, 392]


@pytest.mark.parametrize(
    ("axis", "values", "value", "share"),
    [
        (Axis("", log=True, domain=(0.1, 10.0)), [1.0], 1.0, 0.5),
        (Axis("", domain=(0.0, 4.0)), [1.0], 1.0, 0.25),
        (Axis(""), [2.0, 4.0], 3.0, 0.5),
        (Axis("", from_zero=True), [2.0, 4.0], 3.0, 0.75),
    ],
)
def test_where_a_value_is_drawn(axis, values, value, share):
    assert math.isclose(axis.fit(values).share(value, min(values), max(values)), share)


def test_a_lone_value_on_a_linear_axis_is_in_its_middle():
    assert Axis("").fit([4.0, 4.0]).range == (2.0, 6.0)
    assert Axis("").fit([0.0]).range == (-1.0, 1.0)
    assert Axis("").fit([1.0, 2.0]).range is None
    assert Axis("", from_zero=True).fit([4.0]).range is None


def test_positions_move_only_zero():
    axis = Axis("", log=True).fit([0.0, 1e-3])
    assert axis.position("value") == "datum.value > 0 ? datum.value : 0.0001"
    assert math.isclose(axis.range.foot, 1e-4)
    assert Axis("").fit([0.0, 1e-3]).position("value") == "datum.value"
