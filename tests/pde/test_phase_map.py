"""Phase maps against as many single simulations, and the theory's curves."""

import numpy as np
import pytest

from lastbit.pde import phase_map as phase_module
from lastbit.pde.classification import REGIMES
from lastbit.pde.images import checkerboard, noise, random_kernel
from lastbit.pde.one_layer import OneLayerCNN
from lastbit.pde.phase_map import bound_curve, phase
from lastbit.pde.simulation import simulate

BOARD = OneLayerCNN(checkerboard(24), 6, pool="mean")
NOISE = OneLayerCNN(noise(24, 3), 5, pool="mean")
GRID = {"lr": np.geomspace(0.1, 30.0, 5), "weight_decay": np.array([0.0, 0.05, 0.3, 0.7, 1.5])}


def assert_is_its_single_runs(model, kernel, grid, **options):
    found = phase(model, kernel, **grid, **options)
    assert found.regimes.shape == found.blow_up_step.shape == (len(grid["lr"]), len(grid["weight_decay"]))
    for i, lr in enumerate(grid["lr"]):
        for j, weight_decay in enumerate(grid["weight_decay"]):
            run = simulate(model, kernel, lr=lr, weight_decay=weight_decay, **options)
            assert REGIMES[found.regimes[i, j]] == run.regime, (lr, weight_decay)
            assert found.blow_up_step[i, j] == (-1 if run.blow_up_step is None else run.blow_up_step)
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 400},
        {"steps": 333, "momentum": 0.9},
        {"steps": 300, "momentum": 0.5, "nesterov": True, "dtype": "float32"},
        {"steps": 7},
    ],
)
def test_noise_by_either_method(options):
    kernel = random_kernel(5, 7)
    direct = assert_is_its_single_runs(NOISE, kernel, GRID, **options)
    fft = phase(OneLayerCNN(noise(24, 3), 5, pool="mean", method="fft"), kernel, **GRID, **options)
    np.testing.assert_array_equal(direct.regimes, fft.regimes)
    if options["steps"] > 7:
        assert {0, 2} <= set(direct.regimes.ravel())


def test_all_three_regimes_on_the_checkerboard():
    grid = {"lr": np.linspace(0.05, 3.2, 8), "weight_decay": np.linspace(0.3, 2.1, 4)}
    found = assert_is_its_single_runs(BOARD, random_kernel(6, 7), grid, steps=500)
    assert set(found.regimes.ravel()) == {0, 1, 2}


def test_linear_model_obeys_the_exact_bounds():
    """Away from the bounds by more than a finite run can tell, the map is the theory's band."""
    linear = NOISE.transitioning()
    lr = np.geomspace(0.05, 50, 12)
    weight_decay = np.linspace(0.0, 3.0, 13)
    found = assert_is_its_single_runs(
        linear, random_kernel(5, 7), {"lr": lr[::4], "weight_decay": weight_decay[::4]}, steps=500
    )
    found = phase(linear, random_kernel(5, 7), lr=lr, weight_decay=weight_decay, steps=1000)
    (exact, infinite) = found.curves
    assert (exact.regime, exact.window, infinite.window) == ("transitioning", "exact", "infinite")
    ends = linear.spectrum("exact")
    gains = lr[:, None, None] * (weight_decay[:, None] + np.array([ends.lowest.value, ends.highest.value]))
    stable = (gains.min(axis=-1) > 0) & (gains.max(axis=-1) < 2)
    clear = (np.abs(gains).min(axis=-1) > 0.03) & (np.abs(gains - 2).min(axis=-1) > 0.03)
    assert clear.sum() > 100
    np.testing.assert_array_equal(found.regimes[clear], np.where(stable, 0, 2)[clear])
    band = (weight_decay > exact.lower[:, None]) & (weight_decay < exact.upper[:, None])
    np.testing.assert_array_equal(band[clear], stable[clear])


def test_curves_are_the_bounds_of_every_regime():
    found = phase(NOISE, random_kernel(5, 7), **GRID, steps=2, momentum=0.9)
    assert [(c.regime, c.window) for c in found.curves] == [
        (regime, window)
        for regime in ("transitioning", "activated", "not activated")
        for window in ("exact", "infinite")
    ]
    for i, lr in enumerate(GRID["lr"]):
        for curve in found.curves[:2]:
            bounds = NOISE.bounds(lr=lr, window=curve.window, momentum=0.9)
            assert (curve.lower[i], curve.upper[i]) == pytest.approx((bounds.lower, bounds.upper))
        assert found.curves[4].upper[i] == pytest.approx(3.8 / lr)


def test_a_large_grid_is_done_in_parts(monkeypatch):
    whole = phase(NOISE, random_kernel(5, 7), **GRID, steps=50)
    monkeypatch.setattr(phase_module, "HISTORY", 50 * 3 * 4)
    parts = phase(NOISE, random_kernel(5, 7), **GRID, steps=50)
    np.testing.assert_array_equal(parts.regimes, whole.regimes)
    np.testing.assert_array_equal(parts.blow_up_step, whole.blow_up_step)


def test_all_cells_may_blow_up():
    found = phase(BOARD, random_kernel(6, 7), lr=[100.0, 200.0], weight_decay=[1.0], steps=1000)
    np.testing.assert_array_equal(found.regimes, [[2], [2]])
    assert (found.blow_up_step > 0).all()


def test_bound_curve_takes_a_scheme_edge():
    curve = bound_curve(NOISE.not_activated(), [0.1, 0.2], 3.0, "exact")
    np.testing.assert_allclose(curve.upper, [30.0, 15.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": []}, r"at least one of its learning rates, not an array of shape \(0,\)"),
        ({"weight_decay": np.zeros((2, 2))}, "weight decays, not an array of shape"),
        ({"lr": [0.1, 0.0]}, "learning rate must be positive and finite, not 0.0"),
        ({"weight_decay": [-1.0]}, "weight decay must be finite and at least 0, not -1.0"),
        ({"steps": 0}, "at least 1 step"),
        ({"kernel": np.ones((2, 2))}, "initial kernel must be 5 x 5"),
    ],
)
def test_wrong_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        phase(NOISE, **{"kernel": np.ones((5, 5)), "lr": [0.1], "weight_decay": [0.1], **options})
