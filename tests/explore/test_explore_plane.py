import numpy as np
import pytest

from lastbit.explore import theory
from lastbit.explore.layer import LEARNING_RATES, WEIGHT_DECAYS, DescentSettings, Layer
from lastbit.pde import checkerboard, noise, predicted_factor


@pytest.fixture(scope="module")
def layers():
    return [Layer(noise(12, 3), 3, 1.0, 0), Layer(checkerboard(12), 4, 2.0, 1)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_inside_the_band_nothing_is_amplified_and_just_outside_something_is(layers, momentum):
    for layer in layers:
        found = theory.band(layer, momentum)
        assert len(found.lr) > 30
        for lr, lower, upper in list(zip(found.lr, found.lower, found.upper, strict=True))[::8]:
            if not lower < upper:
                continue
            for weight_decay, stable in ((lower * 1.001, True), (upper * 0.999, True), (upper * 1.001, False)):
                factor = predicted_factor(
                    layer.linear,
                    DescentSettings(lr, 0.0, momentum).scheme,
                    window="exact",
                    lr=lr,
                    weight_decay=weight_decay,
                )
                assert (factor <= 1.0) == stable


def test_the_limit_is_where_weight_decay_alone_overshoots(layers):
    np.testing.assert_allclose(theory.band(layers[0], 0.0).limit, 2.0 / theory.band(layers[0], 0.0).lr)
    np.testing.assert_allclose(theory.band(layers[0], 0.5).limit, 3.0 / theory.band(layers[0], 0.5).lr)


@pytest.mark.parametrize(
    ("weight_decay", "said"), [(0.5, "0.5 is inside"), (90.0, "90 is above"), (None, "stable at no weight decay")]
)
def test_the_title_says_on_which_side_the_point_is(layers, weight_decay, said):
    descent = DescentSettings(0.1 if weight_decay else 10.0, weight_decay or 1.0)
    drawn = theory.plane_figure(theory.band(layers[0], 0.0), theory.bounds_here(layers[0], descent), descent)
    assert said in drawn.title
    assert [(row["x"], row["y"]) for row in drawn.rows if row["curve"] == theory.CHOSEN] == [
        ([descent.lr], [descent.weight_decay])
    ]


def test_zones_stay_within_the_picture_and_keep_their_order(layers):
    descent = DescentSettings(0.1, 1.0)
    for layer in layers:
        drawn = theory.plane_figure(theory.band(layer, 0.0), theory.bounds_here(layer, descent), descent)
        for row in drawn.rows[:-1]:
            assert len(row["x"]) == len(row["low"]) == len(row["high"]) > 1
            assert all(1e-2 <= low <= high <= 100.0 for low, high in zip(row["low"], row["high"], strict=True))


def test_a_click_chooses_the_sliders_nearest_values():
    chosen = {theory.CHOSEN: {"lr": [0.0501], "weight_decay": [19.9], "vlPoint": {"or": [{}]}}}
    assert theory.clicked(chosen) == (0.0501, 20.0)
    for lr in LEARNING_RATES[::7]:
        for weight_decay in WEIGHT_DECAYS[::9]:
            near = {theory.CHOSEN: {"lr": [lr * 1.01], "weight_decay": [weight_decay * 0.99]}}
            assert theory.clicked(near) == (lr, weight_decay)


@pytest.mark.parametrize(
    "sent", [{}, {"chosen": {}}, {"chosen": []}, {"chosen": {"lr": [0.1]}}, {"other": {"lr": [1]}}]
)
def test_what_chooses_no_cell_moves_nothing(sent):
    assert theory.clicked(sent) is None
