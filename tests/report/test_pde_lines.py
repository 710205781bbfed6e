import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.pde.lines import Curve, Lines, cut
from lastbit.report.pde.significant import significant

VALUES = st.lists(st.none() | st.floats(-1e9, 1e9), max_size=20)


@given(VALUES, st.floats(0.0, 1e9))
def test_a_curve_ends_before_its_first_value_beyond_the_cap(values, cap):
    curve = cut("c", range(len(values)), values, cap=cap)
    kept = len(curve.y)
    assert list(curve.x) == list(range(kept))
    assert all(abs(value) <= cap for value in curve.y)
    assert curve.blew_up == (kept < len(values))
    if curve.blew_up:
        assert values[kept] is None or abs(values[kept]) > cap


def test_without_a_cap_only_what_is_not_finite_ends_a_curve():
    assert cut("c", range(2), [1e300, -1e300]) == Curve("c", range(2), [1e300, -1e300])
    assert cut("c", range(3), [1.0, None, 1.0]).y == [1.0]


def _layers(curves, **options):
    return Lines(curves, "x", "y", **options).chart().to_dict()["layer"]


def test_only_a_curve_that_blew_up_gets_a_cross():
    calm, wild = Curve("calm", [0, 1], [1.0, 2.0]), Curve("wild", [0, 1], [1.0, 9.0], blew_up=True)
    assert len(_layers([calm])) == 1
    lines, crosses = _layers([calm, wild])
    assert crosses["mark"]["text"] == "✕"
    assert crosses["encoding"]["color"]["scale"] == lines["encoding"]["color"]["scale"]


def test_curves_differ_in_colour_and_in_dash():
    curves = [Curve(str(i), [0, 1], [1.0, 2.0]) for i in range(7)]
    encoding = _layers(curves)[0]["encoding"]
    dashes = encoding["strokeDash"]["scale"]["range"]
    assert encoding["color"]["field"] == encoding["strokeDash"]["field"] == "curve"
    assert len({tuple(dash) for dash in dashes}) == 7


def test_growth_is_drawn_on_a_logarithmic_axis_with_a_place_for_zero():
    curves = [Curve("c", [0, 1, 2], [0.0, 1e-3, 10.0])]
    logarithmic = _layers(curves)[0]["encoding"]["y"]["scale"]
    assert logarithmic["type"] == "log"
    assert logarithmic["domain"] == pytest.approx([1e-4, 10.0])
    assert "type" not in _layers(curves, log_y=False)[0]["encoding"]["y"]["scale"]


def test_a_curve_that_is_gone_at_once_is_left_out():
    gone = cut("gone", range(2), [None, 1.0])
    lines = Lines([gone, Curve("here", [0], [1.0])], "x", "y")
    assert [row["curve"] for row in lines.rows] == ["here"]
    assert len(lines.chart().to_dict()["layer"]) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(225.0, "225"), (0.07, "0.07"), (1.296e7, "1.296e7"), (1e-8, "1e-8"), (12345.6, "1.235e4"), (0.0, "0")],
)
def test_numbers_in_four_digits(value, text):
    assert significant(value) == text


@given(st.floats(1e-300, 1e300))
def test_numbers_keep_their_value(value):
    assert math.isclose(float(significant(value)), value, rel_tol=5.1e-4)
