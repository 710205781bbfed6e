"""Growth of series made by hand, and of twins of systems whose Lyapunov exponents are known."""

import math
from xml.etree import ElementTree

import chaotic_maps as maps
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.divergence import growth
from lastbit.divergence.trend import stride


def steepest(found):
    return max(found.segments, key=lambda segment: segment.factor)


def apart(path, other):
    return np.linalg.norm(path - other, axis=1)


def twins_of_one_ulp(name, rng, steps):
    """Distances of two orbits that begin on the attractor, one unit in the last place apart."""
    if name == "logistic":
        x = rng.uniform(0.1, 0.9)
        return apart(maps.logistic(x, steps), maps.logistic(np.nextafter(x, 1), steps))
    start = maps.henon(rng.uniform(0, 0.1, 2), 50)[-1]
    return apart(maps.henon(start, steps), maps.henon(np.nextafter(start, 9), steps))


@pytest.mark.parametrize(("name", "exponent", "steps"), [("logistic", maps.LOGISTIC, 150), ("henon", maps.HENON, 250)])
def test_twins_grow_from_one_ulp_at_the_lyapunov_exponent_and_saturate(name, exponent, steps):
    rng = np.random.default_rng(3)
    series = [twins_of_one_ulp(name, rng, steps) for _ in range(30)]
    found = [growth(distances) for distances in series if (distances > 0).all()]  # others fell together again
    assert len(found) > 10
    rates = [steepest(one) for one in found]
    assert (
        np.mean([rate.lower <= exponent <= rate.upper for rate in rates]) >= 0.8
    )  # 93 % in many: benchmarks/growth.py
    assert all(len(one.segments) >= 2 for one in found)
    assert np.median([rate.rate for rate in rates]) == pytest.approx(exponent, rel=0.07)
    assert all(rate.factor > 1e6 for rate in rates)
    levels = [one.saturation.level for one in found if one.saturation is not None]
    assert len(levels) > len(found) / 3
    assert 0.1 < np.median(levels) < 1.5


def test_a_long_tangent_orbit_gives_the_exponent_to_a_few_percent():
    lengths = maps.tangent_henon(np.random.default_rng(0), 1500)
    found = growth(np.exp(lengths - lengths.mean()))
    longest = max(found.segments, key=lambda segment: segment.last - segment.first)
    assert longest.lower <= maps.HENON <= longest.upper
    assert longest.upper - longest.lower < 0.1


def test_the_lorenz_flow_is_thinned_to_independent_rates():
    dt = 0.02
    start = maps.lorenz(np.array([1.0, 1.0, 20.0]), 600, dt)[-1]
    other = start * (1 + 1e-13)
    distances = apart(maps.lorenz(start, 1500, dt), maps.lorenz(other, 1500, dt))
    assert stride(np.log(distances)) > 5
    found = steepest(growth(distances))
    assert found.lower <= maps.LORENZ * dt <= found.upper
    assert found.rate == pytest.approx(maps.LORENZ * dt, rel=0.3)
    assert found.lower > 0


def test_a_stable_linear_map_shrinks_at_the_logarithm_of_its_eigenvalue():
    found = growth(1e-3 * 0.9 ** np.arange(200))
    (segment,) = found.segments
    assert segment.rate == pytest.approx(math.log(0.9), abs=1e-9)
    assert segment.lower <= math.log(0.9) <= segment.upper < 0
    assert (segment.first, segment.last, found.saturation, found.jumps) == (0, 199, None, ())


@settings(max_examples=30)
@given(st.integers(20, 80), st.integers(20, 80), st.floats(20, 1e6), st.floats(0.01, 0.3))
def test_a_jump_is_found_at_its_step_with_its_factor(before, after, factor, rate):
    exponents = np.concatenate([rate * np.arange(before), rate * (before + np.arange(after)) + math.log(factor)])
    found = growth(1e-8 * np.exp(exponents), range(1, before + after + 1))
    (jump,) = found.jumps
    assert (jump.before, jump.step) == (before, before + 1)
    assert jump.factor == pytest.approx(factor * math.exp(rate))
    assert [segment.rate for segment in found.segments] == pytest.approx([rate, rate], abs=1e-6)
    assert found.segments[0].last == before
    assert found.segments[1].first == before + 1


def test_a_fast_but_steady_growth_has_no_jump():
    assert growth(1e-200 * 20.0 ** np.arange(120)).jumps == ()


def test_between_snapshots_a_jump_is_located_to_the_gap():
    steps = [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128]
    found = growth([1e-8 * step * (1e4 if step > 20 else 1) for step in steps], steps)
    (jump,) = found.jumps
    assert (jump.before, jump.step) == (16, 23)
    assert jump.factor == pytest.approx(1e4 * 23 / 16)


def test_a_rounding_level_that_rises_to_a_level_has_a_saturation():
    rng = np.random.default_rng(0)
    noise = np.exp(0.1 * rng.standard_normal(200))
    found = growth(noise * np.minimum(1e-8 * np.exp(0.3 * np.arange(200)), 0.5))
    assert found.saturation.level == pytest.approx(0.5, rel=0.05)
    assert found.saturation.low == pytest.approx(0.5 * math.exp(-0.1 * 1.645), rel=0.05)
    assert found.saturation.high == pytest.approx(0.5 * math.exp(0.1 * 1.645), rel=0.05)
    assert abs(found.saturation.since - math.log(0.5e8) / 0.3) < 8
    assert steepest(found).rate == pytest.approx(0.3, abs=0.01)


def test_what_never_grew_has_not_saturated():
    assert growth(1e-8 * np.exp(0.1 * np.random.default_rng(0).standard_normal(100))).saturation is None


def test_the_identical_beginning_and_the_end_in_divergence_are_reported():
    found = growth([0, 0, 0, *(1e-7 * 2.0 ** np.arange(10)), math.inf, math.nan, 1.0], range(5, 21))
    assert (found.identical_until, found.diverged_at) == (7, 18)
    assert found.segments[0].rate == pytest.approx(math.log(2))
    assert (found.segments[0].first, found.segments[0].last) == (8, 17)
    same = growth([0.0, 0.0])
    assert (same.segments, same.identical_until, same.diverged_at) == ((), 1, None)
    assert growth([]).identical_until is None


def test_a_zero_in_the_middle_is_left_out():
    distances = 1e-7 * 2.0 ** np.arange(20)
    distances[7] = 0
    assert growth(distances).segments[0].rate == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([1.0, 2.0], [1]), "one for each step"),
        (([1.0, 2.0], [2, 2]), "steps must increase"),
        (([1.0, -2.0],), "not negative, got -2.0"),
    ],
)
def test_refuses_what_is_no_series_of_distances(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        growth(*arguments)


def test_refuses_a_jump_that_is_none():
    with pytest.raises(ValueError, match="above 1"):
        growth([1.0], jump=1.0)


def test_a_short_repr_and_a_table_for_notebooks():
    distances = [0.0, 1e-8, 2e-8, 4e-8, 8e-8, 1.6e-7, 1.6e-3, 1.7e-3, 1.6e-3, 1.7e-3, math.inf]
    result = growth(distances)
    assert repr(result) == (
        "<Growth: bit-identical until step 0; 2 segments, fastest +0.693 per step; 1 jump, largest 1e+04-fold at "
        "step 6; level 0.0016 since step 6; diverged at step 10>"
    )
    table = ElementTree.fromstring(result._repr_html_())
    cells = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert cells[0] == ["steps", "rate per step (95 % interval)", "factor"]
    assert [row[0] for row in cells[1:]] == ["1 to 5", "6", "6 to 9"]
    assert cells[2][1:] == ["jump", "1e+04"]
    assert "".join(table.find("caption").itertext()) == repr(result)[1:-1]
    assert repr(growth([])) == "<Growth: too few distances>"
