import math
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lastbit as lb
from lastbit.schedules import as_schedule, refuse_no_schedule


def due(schedule, upto):
    return [step for step in range(upto + 1) if schedule(step)]


def test_every_n_steps_from_the_start():
    assert due(lb.every(3), 10) == [0, 3, 6, 9]
    assert due(lb.every(1), 3) == [0, 1, 2, 3]


def test_log_spaced_by_default():
    assert due(lb.log_spaced(), 100) == [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 79, 100]


@given(st.one_of(st.integers(1, 60), st.floats(0.2, 60)))
def test_log_spaced_is_the_rounded_geometric_grid(per_decade):
    upto = 3000
    grid = {round(10 ** (i / per_decade)) for i in range(math.ceil(per_decade * math.log10(upto + 1)) + 1)}
    assert due(lb.log_spaced(per_decade), upto) == sorted(step for step in grid if step <= upto)


def test_powers_of_ten_are_due_as_far_as_training_goes():
    assert all(lb.log_spaced(3)(10**exponent) for exponent in range(15))
    assert not lb.log_spaced(3)(10**12 + 1)


def test_schedules_combine_with_any_callable():
    either = lb.every(40) | lb.log_spaced(1) | {7}.__contains__
    assert due(either, 120) == [0, 1, 7, 10, 40, 80, 100, 120]
    assert due((lambda step: step == 2) | lb.every(5), 6) == [0, 2, 5]


def test_schedules_travel_and_compare():
    schedule = lb.every(3) | lb.log_spaced(5)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert lb.every(3) != lb.every(4)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_every_refuses(n):
    with pytest.raises(ValueError, match="positive integer"):
        lb.every(n)


@pytest.mark.parametrize("per_decade", [0, -1, math.inf, math.nan, True, "3"])
def test_log_spaced_refuses(per_decade):
    with pytest.raises(ValueError, match="positive number"):
        lb.log_spaced(per_decade)


def test_what_is_no_schedule_is_named():
    with pytest.raises(TypeError, match=r"100 is no schedule; write lb\.every\(100\)"):
        refuse_no_schedule(100)
    with pytest.raises(TypeError, match="a str is no schedule; give a callable"):
        _ = lb.every(2) | "often"


def test_a_plain_number_is_a_schedule():
    assert [step for step in range(250) if as_schedule(100)(step)] == [0, 100, 200]
    assert as_schedule({10}.__contains__)(10)
    for wrong, kind, said in (
        (0, ValueError, "every(0) is not allowed"),
        (True, TypeError, "a bool"),
        ("x", TypeError, "a str"),
    ):
        with pytest.raises(kind, match=re.escape(said)):
            as_schedule(wrong)
