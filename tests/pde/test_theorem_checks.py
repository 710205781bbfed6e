"""The checks of the theorems, each against something that its own formulas do not know."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from momentum_roots import largest_root

from lastbit.pde import (
    Linearisation,
    Momentum,
    MultiLayerCNN,
    OneLayerCNN,
    as_layers,
    autograd_error,
    automatic_block,
    automatic_gradients,
    block_error,
    damped_flow,
    difference_error,
    fitted_order,
    frequency_step,
    from_damping,
    growth_factor,
    layer_gradient_errors,
    linearisation_errors,
    noise,
    optimizer_path,
    predicted_factor,
    random_kernel,
    semi_implicit_path,
    signal_change,
    simulate,
    window_error,
)

NET = OneLayerCNN(1.0 + noise(12, 0), 3, pool="mean", boundary="circular")
KERNEL = random_kernel(3, 7)
SYMBOL = Linearisation.symbol


@given(st.floats(0.5, 5.0), st.floats(1e-3, 1e3), st.integers(2, 6))
def test_a_power_law_has_its_order_everywhere(power, factor, count):
    sizes = np.geomspace(1e-3, 1.0, count)
    found = fitted_order(sizes, factor * sizes**power)
    assert [found.value, found.lowest, found.highest] == pytest.approx([power] * 3)


def test_an_order_of_a_bent_line_says_how_far_it_bends():
    found = fitted_order([4.0, 1.0, 2.0], [32.0, 1.0, 2.0])
    assert (found.lowest, found.highest) == pytest.approx((1.0, 4.0))
    assert found.value == pytest.approx(2.5)


@pytest.mark.parametrize(("sizes", "errors"), [([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])])
def test_an_order_needs_two_sizes(sizes, errors):
    with pytest.raises(ValueError, match="two or more sizes"):
        fitted_order(sizes, errors)


@pytest.mark.parametrize(("sizes", "errors"), [([0.0, 1.0], [1.0, 1.0]), ([1.0, 2.0], [1.0, 0.0])])
def test_an_order_needs_what_has_a_logarithm(sizes, errors):
    with pytest.raises(ValueError, match="above 0"):
        fitted_order(sizes, errors)


class Wrong(OneLayerCNN):
    """A gradient that is 1 % too long."""

    def loss_and_gradient(self, kernels, weight_decay=0.0):
        loss, gradient = super().loss_and_gradient(kernels, weight_decay)
        return loss, 1.01 * gradient


def test_a_wrong_gradient_is_seen_by_autograd_and_by_differences():
    wrong = Wrong(NET.image, 3, pool="mean", boundary="circular")
    assert autograd_error(wrong, KERNEL, 0.1) == pytest.approx(0.01)
    assert difference_error(wrong, KERNEL, 0.1) == pytest.approx(1 - 1 / 1.01, rel=1e-4)
    assert autograd_error(NET, KERNEL, 0.1) < 1e-13
    assert difference_error(NET, KERNEL, 0.1) < 1e-8


def test_a_window_at_another_place_is_seen(monkeypatch):
    assert window_error(NET, KERNEL) < 1e-13
    whole = OneLayerCNN.gradient
    shifted = lambda net, k, decay=0.0: np.roll(whole(net, k, decay), int(net.kernel == 12), axis=0)  # noqa: E731
    monkeypatch.setattr(OneLayerCNN, "gradient", shifted)
    assert window_error(NET, KERNEL) > 0.1


def test_only_a_circular_window_is_compared():
    with pytest.raises(ValueError, match="not of a valid one"):
        window_error(OneLayerCNN(noise(8, 0), 3), KERNEL)


def test_linearisation_errors_are_those_of_a_hand_made_pixel():
    """One pixel of value 1: P = r(k), and the gradient a(P) r'(k) can be written down."""
    net, k = OneLayerCNN(np.ones((1, 1)), 1, label=1), np.array([[0.2]])
    found = linearisation_errors(net, k, [1.0, 2.0])

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    z = np.array([0.2, 0.4])
    slope = sigmoid(z) * (1.0 + z * (1.0 - sigmoid(z)))
    residual = sigmoid(z * sigmoid(z)) - 1.0
    frozen = -0.5 * (0.5 + z / 2)
    assert found.size == pytest.approx(z)
    assert found.constant_residual == pytest.approx(np.abs(-0.5 * slope - frozen))
    assert found.moving_residual == pytest.approx(np.abs(residual * slope - frozen))
    assert found.tangent == pytest.approx(np.abs(residual * slope - frozen - z / 16))


@pytest.mark.parametrize("label", [0, 1])
def test_a_step_in_frequencies_is_seen_to_be_wrong_when_the_symbol_is(label, monkeypatch):
    linear = OneLayerCNN(noise(8, 0), 8, label=label, boundary="circular").transitioning()
    options = {"lr": 1e-2, "weight_decay": 3.0}
    found = frequency_step(linear, random_kernel(8, 1), **options)
    assert max(found.multiplied_error, found.convolved_error) < 1e-13
    assert found.before[0, 0].real == pytest.approx(random_kernel(8, 1).sum())
    monkeypatch.setattr(Linearisation, "symbol", lambda self: 1.01 * SYMBOL(self))
    wrong = frequency_step(linear, random_kernel(8, 1), **options)
    assert min(wrong.multiplied_error, wrong.convolved_error) > 1e-3


def test_a_window_convolves_in_frequencies():
    linear = OneLayerCNN(noise(8, 0), 3, boundary="circular").transitioning()
    found = frequency_step(linear, KERNEL, lr=1e-2, weight_decay=3.0)
    assert found.convolved_error < 1e-13
    assert found.multiplied_error > 0.1
    with pytest.raises(ValueError, match="not a valid one"):
        frequency_step(OneLayerCNN(noise(8, 0), 3).transitioning(), KERNEL, lr=1e-2, weight_decay=3.0)


@given(st.floats(0.05, 0.3), st.floats(0.1, 3.0), st.floats(0.1, 4.0))
def test_paths_of_a_quadratic_are_those_of_the_characteristic_roots(dt, damping, stiffness):
    """V_n of a scalar quadratic obeys xi^2 - (1 - g)(1 + mu) xi + (1 - g) mu, from V_0 = 1 and V_1 = 1 - g(1 + mu)."""
    lr, mu = from_damping(dt, damping)
    g = lr * stiffness
    expected = [1.0, 1.0 - g * (1.0 + mu)]
    for _ in range(8):
        expected.append((1.0 - g) * ((1.0 + mu) * expected[-1] - mu * expected[-2]))
    path = semi_implicit_path(lambda k: stiffness * k, [1.0], dt=dt, damping=damping, steps=9)
    taken = optimizer_path(lambda k: stiffness * k, [1.0], dt=dt, damping=damping, steps=9)
    assert path[:, 0] == pytest.approx(expected, abs=1e-13)
    assert taken[:, 0] == pytest.approx(expected, abs=1e-13)


def test_the_flow_of_a_quadratic_is_a_damped_oscillation():
    times, damping, stiffness = np.linspace(0.0, 5.0, 11), 0.6, 2.0
    found = damped_flow(lambda k: stiffness * k, np.ones((1, 1)), damping=damping, times=times)
    omega = np.sqrt(stiffness - damping**2 / 4)
    exact = np.exp(-damping * times / 2) * (np.cos(omega * times) + damping / 2 / omega * np.sin(omega * times))
    assert found.shape == (11, 1, 1)
    assert found[:, 0, 0] == pytest.approx(exact, abs=1e-9)


def test_a_flow_that_ends_is_reported():
    with pytest.raises(ArithmeticError, match="could not be followed"):
        damped_flow(lambda k: -np.exp(k**2), [5.0], damping=0.0, times=[0.0, 50.0])


@pytest.mark.parametrize("scheme", [Momentum(), Momentum(0.9), Momentum(0.9, nesterov=True)])
def test_the_largest_factor_is_at_an_end_of_the_spectrum(scheme):
    net = OneLayerCNN(noise(10, 0), 3, label=1)
    linear, lr, decay = net.transitioning(), 1e-2, 40.0
    matrix = np.stack([linear.apply(unit).ravel() for unit in np.eye(9).reshape(9, 3, 3)])
    gains = lr * (decay + np.linalg.eigvalsh(matrix))
    expected = max(largest_root(scheme, gain) for gain in gains)
    assert predicted_factor(linear, scheme, window="exact", lr=lr, weight_decay=decay) == pytest.approx(expected)


def test_growth_is_that_of_the_last_updates():
    run = simulate(OneLayerCNN(noise(10, 0), 3).transitioning(), KERNEL, lr=1e-2, weight_decay=60.0, steps=200)
    lengths = 3.0 * 0.9 ** np.arange(200.0)
    assert growth_factor(replace(run, step_length=lengths, norm=np.ones(200))) == pytest.approx(0.9)
    # What is below rounding says nothing, and a run that has nothing above it has no growth.
    lengths[120:] = 1e-20
    assert growth_factor(replace(run, step_length=lengths, norm=np.ones(200))) == pytest.approx(0.9)
    assert np.isnan(growth_factor(replace(run, step_length=lengths, norm=np.full(200, 1e20))))


def layers(size=0.1, boundary="circular"):
    kernels = [size * abs(random_kernel(3, seed)) / 9 for seed in (1, 2)]
    return MultiLayerCNN(noise(10, 0), kernels, pool="mean", boundary=boundary)


def test_the_block_is_the_frozen_part_of_the_hessian():
    """By differences of autograd's gradient, less the part in which the residual moves."""
    net, h = layers(1.0), 1e-5
    block, columns = automatic_block(net, 2), []
    for unit in np.eye(9).reshape(9, 3, 3):
        ends = [replace(net, kernels=[net.kernels[0], net.kernels[1] + s * h * unit]) for s in (1, -1)]
        high, low = (automatic_gradients(end)[1].ravel() / end.residual for end in ends)
        columns.append(net.residual * (high - low) / (2 * h))
    np.testing.assert_allclose(block, np.stack(columns), atol=1e-9 * abs(block).max() + 1e-10)


def test_layers_agree_with_one_layer_the_more_the_smaller_their_kernels(monkeypatch):
    large, small = ([block_error(layers(size), layer) for layer in (1, 2)] for size in (1.0, 0.01))
    assert max(small) < 0.02 < max(large)
    right = MultiLayerCNN.mean_signal
    monkeypatch.setattr(MultiLayerCNN, "mean_signal", lambda self, *regime: 1.1 * right(self, *regime))
    assert block_error(layers(0.01), 1) == pytest.approx(0.1, abs=0.02)


def test_signals_of_the_last_layer_never_change():
    assert signal_change(layers(), 2, random_kernel(3, 5)) == 0.0
    assert signal_change(layers(), 1, 2.0 * layers().kernels[0]) > 0.0


def test_gradients_of_all_layers_are_held_against_autograd(monkeypatch):
    net = layers()
    assert max(layer_gradient_errors(net, 0.1)) < 1e-13
    right = MultiLayerCNN.gradients
    monkeypatch.setattr(
        MultiLayerCNN, "gradients", lambda self, decay: (1.01 * right(self, decay)[0], right(self, decay)[1])
    )
    assert layer_gradient_errors(net, 0.1) == pytest.approx((0.01, 0.0), abs=1e-12)


def test_one_layer_is_a_network_of_layers():
    net = as_layers(NET, KERNEL)
    assert net.loss(0.3) == pytest.approx(float(NET.loss(KERNEL, 0.3)))
    assert len(net.kernels) == 1
