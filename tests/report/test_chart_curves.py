import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lastbit.report.charts.curves import first_rows, gather, last_rows
from lastbit.report.numbers import thin

increasing = st.lists(st.integers(min_value=0, max_value=10**6), unique=True, min_size=1).map(sorted)


@given(increasing, st.integers(min_value=0, max_value=50))
def test_thinning_keeps_the_ends_and_no_more_than_asked_for(steps, most):
    kept = thin(steps, most)
    assert len(kept) == min(len(steps), max(2, most))
    assert kept == sorted(set(kept) & set(steps))
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])


@given(increasing, st.integers(min_value=3, max_value=50))
def test_thinning_is_even(steps, most):
    places = [steps.index(step) for step in thin(steps, most)]
    gaps = [after - before for before, after in pairwise(places)]
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


def _name(row):
    return {"seed": row["seed"]}


def _rows(seeds=(1, 2), steps=(1, 2, 4, 8), value=0.123456):
    return [{"seed": seed, "step": step, "value": value * step} for step in reversed(steps) for seed in seeds]


def test_a_curve_has_its_points_in_order_with_three_digits():
    curves = gather(_rows(), _name, label="seed", most_points=100)
    assert [(curve.label, curve.names) for curve in curves.curves] == [("1", {"seed": 1}), ("2", {"seed": 2})]
    assert all((curve.x, curve.y) == ([1, 2, 4, 8], [0.123, 0.247, 0.494, 0.988]) for curve in curves.curves)
    assert (curves.kept, curves.measured, curves.missing, curves.remark) == (4, 4, 0, "")


def test_too_many_points_are_thinned_and_it_is_reported():
    curves = gather(_rows(steps=tuple(range(1, 101))), _name, label="seed", most_points=20)
    assert sum(len(curve.x) for curve in curves.curves) == 20
    assert curves.remark == " Drawn are 10 of 100 measured steps."


def test_what_is_not_finite_is_left_out_and_it_is_reported():
    rows = [*_rows(), {"seed": 1, "step": 16, "value": None}]
    curves = gather(rows, _name, label="seed", most_points=100)
    assert [curve.x for curve in curves.curves] == [[1, 2, 4, 8]] * 2
    assert curves.remark == " 1 value(s) that were not finite are left out."
    assert {row["step"] for row in last_rows(rows)} == {8}
    assert {row["step"] for row in first_rows(rows)} == {1}
    assert last_rows([]) == first_rows([{"seed": 1, "step": 1, "value": None}]) == []


@given(st.floats(min_value=1e-15, max_value=2))
def test_rounding_moves_no_point_by_a_pixel(value):
    (curve,) = gather([{"seed": 1, "step": 1, "value": value}], _name, label="seed", most_points=2).curves
    (drawn,) = curve.y
    # A decade of the axis is some thirty pixels high.
    assert abs(math.log10(drawn / value)) < 1 / 100
