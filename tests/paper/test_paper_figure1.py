import math

import pytest

from lastbit.paper.items.figure1 import FIGURE1


def holds(result):
    return [made["holds"] for made in FIGURE1.claims(result)]


def test_the_heat_equation_does_as_published(smoke):
    result = smoke("figure1")
    stable, unstable = result["runs"]
    assert holds(result) == [True, True, True]
    assert result["max_stable_dt"] == 0.5
    assert (stable["blow_up_step"], unstable["blow_up_step"]) == (None, 912)
    assert unstable["amplification_max"] == pytest.approx(2.2)
    assert [shot["time"] for shot in stable["snapshots"]] == [40, 200, 800]
    assert [shot["time"] for shot in unstable["snapshots"][:3]] == pytest.approx([0.8, 2.4, 4.0])


def test_the_stable_run_ends_in_the_slowest_mode(smoke):
    """After t = 800 the tent's first sine is left: its coefficient 8 h / pi^2 times its factor to the 2000th power."""
    factor = 1.0 - 0.8 * (1.0 - math.cos(math.pi / 30))
    coefficient = 0.1 * sum(min(i, 30 - i) * math.sin(math.pi * i / 30) for i in range(31)) / 15
    final = smoke("figure1")["runs"][0]["snapshots"][-1]["u"][15]
    assert final == pytest.approx(coefficient * factor**2000, rel=1e-6)


def test_a_stable_run_that_exceeds_its_start_fails(smoke):
    result = smoke("figure1")
    result["runs"][0]["max_abs"][5] = 2.0
    assert holds(result) == [False, True, True]


def test_a_stable_run_that_does_not_decay_fails(smoke):
    result = smoke("figure1")
    result["runs"][0]["max_abs"][-1] = 1.0
    assert holds(result) == [False, True, True]


def test_an_unstable_run_that_stays_finite_fails(smoke):
    result = smoke("figure1")
    result["runs"][1]["blow_up_step"] = None
    assert holds(result) == [True, False, True]


def test_growth_at_another_rate_fails(smoke):
    result = smoke("figure1")
    result["runs"][1]["amplification_max"] = 2.0
    assert holds(result) == [True, False, True]


def test_an_instability_that_stays_local_fails(smoke):
    result = smoke("figure1")
    result["runs"][1]["snapshots"][-1]["u"] = result["start"]
    assert holds(result) == [True, True, False]


def test_the_finding_says_when_it_blows_up(smoke):
    titles = [figure.title for figure in FIGURE1.draw(smoke("figure1"))]
    assert titles[0] == "At Δt = 0.4 the highest |A| is 1 and the state decays smoothly"
    assert titles[1].endswith("nothing finite is left after 912 steps")
    assert titles[2] == "Δt = 0.8 blows up after 912 steps"
