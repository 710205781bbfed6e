"""The rules of classification on paths whose fate is known."""

import numpy as np
import pytest

from lastbit.pde.classification import REGIMES, Path, classify

STEPS = np.arange(1000)


def verdict(norm, step_length, alignment, *, saturating=True, blown_up=False, dtype="float64"):
    path = Path(
        *(
            np.broadcast_to(np.asarray(x, float), (len(np.atleast_1d(step_length)),))
            for x in (norm, step_length, alignment)
        )
    )
    return REGIMES[int(classify(path, np.dtype(dtype), saturating=saturating, blown_up=blown_up))]


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.99, 0.998])
def test_alternating_decay_is_stable(ratio):
    assert verdict(1.0, ratio**STEPS, -1.0) == "stable"


def test_decay_to_rounding_level_is_stable_however_it_jitters():
    jitter = 1e-15 * np.random.RandomState(0).rand(1000)
    assert verdict(1.0, 0.5**STEPS + jitter, -1.0) == "stable"
    assert verdict(1.0, 1e-6 + 0 * STEPS, -1.0, dtype="float32") == "stable"
    assert verdict(1.0, 1e-6 + 0 * STEPS, -1.0) == "restrained"


def test_a_two_step_cycle_is_restrained():
    assert verdict(1.0, 0.3 + 0 * STEPS, -1.0) == "restrained"


def test_bounded_chaos_is_restrained():
    x, path = 0.3, []
    for _ in STEPS:  # the logistic map
        new = 3.9 * x * (1 - x)
        path.append(new - x)
        x = new
    heading = np.sign(path)
    alignment = np.concatenate([[0], heading[1:] * heading[:-1]])
    assert verdict(1.0, np.abs(path), alignment) == "restrained"


@pytest.mark.parametrize("ratio", [1.001, 1.1])
def test_alternating_growth_is_a_blow_up_before_it_overflows(ratio):
    assert verdict(ratio**STEPS, ratio**STEPS, -1.0) == "blow-up"


def test_growth_without_reversal_is_a_blow_up_of_a_linear_model_only():
    growth = 1.01**STEPS
    assert verdict(growth, growth, 1.0, saturating=False) == "blow-up"
    assert verdict(growth, growth, 1.0, saturating=True) == "stable"
    # However slow, and while the norm still falls from its start: the updates of a linear model grow for ever.
    assert verdict(0.999**STEPS, 1e-3 * 1.0001**STEPS, 1.0, saturating=False) == "blow-up"


def test_slow_drift_is_stable():
    assert verdict(5.0, 1.0 / (1 + STEPS), 1.0) == "stable"
    assert verdict(5.0, 0.9999**STEPS, 1.0, saturating=False) == "stable"


def test_overflow_decides():
    assert verdict(1.0, 0.5**STEPS, -1.0, blown_up=True) == "blow-up"
    assert verdict(np.zeros(0), np.zeros(0), np.zeros(0), blown_up=True) == "blow-up"


@pytest.mark.parametrize("length", [1, 2, 3, 7, 15])
def test_short_runs_have_no_rates(length):
    steps = np.arange(length)
    assert verdict(3.0**steps, 3.0**steps, -1.0) == "restrained"
    assert verdict(1.0, 0.5**steps, 1.0) == "stable"
    assert verdict(1.0, 0 * steps, 0.0) == "stable"


def test_a_batch_is_classified_cell_by_cell():
    cells = [
        (1.0 + 0 * STEPS, 0.9**STEPS, -1.0 + 0 * STEPS),
        (1.0 + 0 * STEPS, 0.3 + 0 * STEPS, -1.0 + 0 * STEPS),
        (1.01**STEPS, 1.01**STEPS, -1.0 + 0 * STEPS),
        (1.0 + 0 * STEPS, 0.9**STEPS, -1.0 + 0 * STEPS),
    ]
    path = Path(*(np.stack(column, axis=1) for column in zip(*cells, strict=True)))
    codes = classify(path, np.dtype("float64"), saturating=True, blown_up=np.array([False, False, False, True]))
    assert [REGIMES[code] for code in codes] == ["stable", "restrained", "blow-up", "blow-up"]


def test_chaos_whose_extremes_happen_to_rise_is_restrained():
    rising = np.repeat(1.02 ** np.arange(8), 125)
    length = rising * np.tile([0.05, 1.0, 0.4, 0.9, 0.2], 200)
    assert verdict(rising, length, -0.9) == "restrained"


def test_leaving_an_unstable_fixed_point_is_not_yet_a_blow_up():
    growth = 1e-9 * 1.02**STEPS
    assert verdict(1.0 + growth, growth, -1.0) == "restrained"
