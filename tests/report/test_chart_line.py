import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.charts import Axis, Curve, CurveChoice, Level, cut, line_chart, with_clicks
from lastbit.report.numbers import significant

VALUES = st.lists(st.none() | st.floats(-1e9, 1e9), max_size=20)
X, LOG, LINEAR = Axis("x", name="x"), Axis("y", name="y", log=True), Axis("y", name="y")


@given(VALUES, st.floats(0.0, 1e9))
def test_a_curve_ends_before_its_first_value_beyond_the_cap(values, cap):
    curve = cut("c", range(len(values)), values, cap=cap)
    kept = len(curve.y)
    assert list(curve.x) == list(range(kept))
    assert all(abs(value) <= cap for value in curve.y)
    assert curve.ended == (kept < len(values))
    if curve.ended:
        assert values[kept] is None or abs(values[kept]) > cap


def test_without_a_cap_only_what_is_not_finite_ends_a_curve():
    assert cut("c", range(2), [1e300, -1e300]) == Curve("c", range(2), [1e300, -1e300])
    assert cut("c", range(3), [1.0, None, 1.0]).y == [1.0]


def _spec(curves, y=LOG, **options):
    return line_chart(curves, x=X, y=y, **options).spec()


def _marks(spec):
    kinds = [layer["mark"] for layer in spec["layer"]]
    return [mark if isinstance(mark, str) else mark["type"] for mark in kinds]


def test_only_a_curve_that_blew_up_gets_a_cross():
    calm, wild = Curve("calm", [0, 1], [1.0, 2.0]), Curve("wild", [0, 1], [1.0, 9.0], ended=True)
    assert _marks(_spec([calm])) == ["line"]
    lines, crosses = _spec([calm, wild])["layer"]
    assert crosses["mark"]["text"] == "✕"
    assert crosses["encoding"]["color"]["scale"] == lines["encoding"]["color"]["scale"]
    assert _spec([calm, wild])["datasets"]["ends"] == [{"curve": "wild", "x": 1, "y": 9.0}]


def test_curves_differ_in_colour_and_in_dash():
    curves = [Curve(str(i), [0, 1], [1.0, 2.0]) for i in range(7)]
    encoding = _spec(curves)["layer"][0]["encoding"]
    dashes = encoding["strokeDash"]["scale"]["range"]
    assert encoding["color"]["field"] == encoding["strokeDash"]["field"] == "curve"
    assert len({tuple(dash) for dash in dashes}) == 7


def test_many_curves_of_one_label_share_its_colour_and_are_drawn_apart():
    curves = [Curve("k=3", [0, 1], [1.0, 2.0], names={"seed": seed}) for seed in (1, 2)]
    encoding = _spec(curves)["layer"][0]["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["k=3"]
    assert {"field": "seed", "type": "nominal"} in encoding["detail"]
    assert "strokeDash" not in encoding


def test_growth_is_drawn_on_a_logarithmic_axis_with_a_place_for_zero():
    curves = [Curve("c", [0, 1, 2], [0.0, 1e-3, 10.0])]
    logarithmic = _spec(curves)["layer"][0]["encoding"]["y"]["scale"]
    assert logarithmic["type"] == "log"
    assert logarithmic["domain"] == pytest.approx([1e-4, 10.0])
    assert "type" not in _spec(curves, LINEAR)["layer"][0]["encoding"]["y"]["scale"]


def test_a_curve_that_is_gone_at_once_is_left_out():
    gone = cut("gone", range(2), [None, 1.0])
    spec = _spec([gone, Curve("here", [0, 1], [1.0, 2.0])])
    assert [row["curve"] for row in spec["datasets"]["rows"]] == ["here"]
    assert _marks(spec) == ["line"]


def test_values_that_are_not_finite_are_left_out():
    (row,) = _spec([Curve("c", [0, 1, 2], [1.0, None, 3.0])])["datasets"]["rows"]
    assert (row["x"], row["y"]) == ([0, 2], [1.0, 3.0])


def test_a_level_lies_within_the_axis_and_is_labelled():
    spec = _spec([Curve("c", [0, 1], [1.0, 2.0])], levels=[Level(50.0, "edge: 50")])
    assert spec["datasets"]["levels"] == [{"level": 50.0, "label": "edge: 50", "corner": "beyond"}]
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < 1 < 50 < high
    assert _marks(spec) == ["rule", "line", "text"]


@pytest.mark.parametrize("free", ["left above", "right above", "left below", "right below"])
def test_the_label_of_a_level_stands_where_no_curve_crosses_it(free):
    beside = {
        f"{side} {height}": Curve(f"{side} {height}", places, [value, value])
        for side, places in {"left": [0.0, 0.3], "right": [2.7, 3.0]}.items()
        for height, value in {"above": 1.1, "below": 0.9}.items()
    }
    curves = [Curve("far", [0, 3], [5.0, 5.0]), *(curve for corner, curve in beside.items() if corner != free)]
    axis = Axis("y", log=True, domain=(0.1, 10.0))
    spec = _spec(curves, axis, levels=[Level(1.0, "edge of it: 1")], at="inside")
    (level,) = spec["datasets"]["levels"]
    assert level["corner"] == free


def test_the_label_of_a_level_at_the_top_of_the_picture_stands_below_it():
    axis = Axis("y", log=True, domain=(0.1, 10.0))
    spec = _spec([Curve("c", [0, 1], [0.2, 0.2])], axis, levels=[Level(10.0, "top")], at="inside")
    assert spec["datasets"]["levels"][0]["corner"] == "left below"


def test_points_keep_off_the_axes_and_lines_begin_on_them():
    curve = Curve("c", [1, 2], [1.0, 2.0])
    scales = [_spec([curve], marks=marks)["layer"][0]["encoding"]["x"]["scale"] for marks in ("points", "")]
    assert [scale.get("padding", 0) > 0 for scale in scales] == [True, False]


def test_a_lone_point_is_a_mark_for_a_line_of_one_point_shows_nothing():
    assert _marks(_spec([Curve("c", [3], [1.0])])) == ["line", "point"]


def test_a_band_lies_behind_its_curve():
    band = ([0.5, 1.0], [2.0, 4.0])
    spec = _spec([Curve("c", [1, 2], [1.0, 2.0], band=band)])
    assert _marks(spec) == ["area", "line"]
    assert (spec["datasets"]["rows"][0]["low"], spec["datasets"]["rows"][0]["high"]) == band
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][1] >= 4.0


def test_one_of_many_is_chosen_from_a_list():
    spec = _spec([Curve(name, [0, 1], [1.0, 2.0]) for name in "abc"], choice=CurveChoice("Layer", "b"))
    (choice,) = [param for param in spec["params"] if param["name"] == "chosen"]
    assert (choice["value"], choice["bind"]["options"]) == ("b", ["a", "b", "c"])


def test_words_of_a_reader_become_no_code():
    hostile = "'}, alert(1), {'"
    curve = Curve(hostile, [0, 1], [1.0, 2.0], names={"noise": hostile})
    spec = line_chart([curve], x=X, y=Axis(hostile, name=hostile), marks="nearest").spec()
    (expression,) = [
        layer["encoding"]["tooltip"]["value"]["expr"] for layer in spec["layer"] if layer["encoding"].get("tooltip")
    ]
    assert json.dumps(hostile) in expression
    assert hostile not in expression.replace(json.dumps(hostile), "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(225.0, "225"), (0.07, "0.07"), (1.296e7, "1.296e7"), (1e-8, "1e-8"), (12345.6, "1.235e4"), (0.0, "0")],
)
def test_numbers_in_four_digits(value, text):
    assert significant(value) == text


@given(st.floats(1e-300, 1e300))
def test_numbers_keep_their_value(value):
    assert math.isclose(float(significant(value)), value, rel_tol=5.1e-4)


def test_a_click_selects_a_pair_of_values_by_the_names_of_their_fields():
    chart = line_chart([Curve("c", [1.0, 100.0], [1.0, 10.0])], x=Axis("x", log=True), y=LOG)
    with_cells = with_clicks(chart, name="chosen", x=("lr", (1.0, 10.0, 100.0)), y=("decay", (0.5, 5.0)))
    *layers, cells = with_cells.form["layer"]
    assert layers == chart.form["layer"]
    assert cells["data"]["sequence"]["stop"] == 6
    assert [(found["name"], found["select"]["fields"]) for found in with_cells.form["params"]] == [
        ("chosen", ["lr", "decay"])
    ]
    assert with_cells.form["params"][0]["views"] == [cells["name"]]
    assert (with_cells.data, with_cells.height) == (chart.data, chart.height)


def test_curves_with_and_without_a_band_share_a_chart():
    banded = Curve("banded", [1.0, 2.0], [1.0, 2.0], band=([0.5, 1.0], [1.5, 3.0]))
    rows = line_chart([banded, Curve("bare", [1.0], [1.0], style="points")], x=X, y=LOG).rows
    assert [(row["low"], row["high"]) for row in rows] == [([0.5, 1.0], [1.5, 3.0]), ([], [])]
