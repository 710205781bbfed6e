"""Each regime's linear PDE against derivatives of the network, the Fourier symbol, and dense algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.pde.images import checkerboard, noise, random_kernel
from lastbit.pde.one_layer import OneLayerCNN

fields = st.fixed_dictionaries(
    {
        "label": st.sampled_from([0, 1]),
        "beta": st.floats(0.1, 5.0),
        "pool": st.sampled_from(["sum", "mean"]),
        "boundary": st.sampled_from(["valid", "same", "circular"]),
        "objective": st.sampled_from(["cross-entropy", "squared"]),
        "method": st.sampled_from(["fft", "direct"]),
    }
)


def patches(net):
    """The im2col matrix, (M, W^2), from the defining sum: the response to each unit kernel."""
    units = np.eye(net.kernel**2).reshape(-1, net.kernel, net.kernel)
    full = OneLayerCNN(net.image, net.kernel, boundary=net.boundary, method="fft")
    return full.response(units).T


def dense(linear):
    side = linear.correlation.kernel
    return linear.apply(np.eye(side**2).reshape(-1, side, side)).reshape(side**2, side**2)


@settings(deadline=None, max_examples=60)
@given(fields=fields, seed=st.integers(0, 99))
def test_moving_residual_is_the_exact_derivative_at_zero(fields, seed):
    """Appendix D.4 at pooled = 0 is the Hessian and the gradient of the loss at K = 0 (theorem 5.2 with a' added)."""
    net = OneLayerCNN(noise(8, seed), 4, **fields)
    linear = net.transitioning_moving_residual()
    zero, direction = np.zeros((4, 4)), random_kernel(4, seed + 1)
    expected = net.hessian(zero).apply(direction)
    np.testing.assert_allclose(linear.apply(direction), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(linear.evaluate(zero, 3.0).gradient, net.gradient(zero, 3.0), atol=1e-11)
    np.testing.assert_allclose(linear.evaluate(zero, 3.0).loss, net.loss(zero), rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(fields=fields, seed=st.integers(0, 99), residual=st.floats(-1.0, 1.0))
def test_constant_residual_is_the_gram_operator(fields, seed, residual):
    net = OneLayerCNN(noise(8, seed), 3, **fields)
    p = patches(net)
    scale = 1.0 if net.pool == "sum" else 1.0 / len(p)
    linear = net.transitioning(residual)
    np.testing.assert_allclose(dense(linear), residual * net.beta / 2 * scale * p.T @ p, atol=1e-10)
    gradient = linear.evaluate(np.zeros((3, 3))).gradient
    np.testing.assert_allclose(gradient.ravel(), residual / 2 * scale * p.sum(axis=0), atol=1e-11)


@settings(deadline=None, max_examples=40)
@given(fields=fields, seed=st.integers(0, 99), pooled=st.floats(-3.0, 3.0))
def test_tangents_of_the_residual(fields, seed, pooled):
    """D.4 and D.5 away from 0: gradients of models with a(P) replaced by its tangent, by central differences."""
    net = OneLayerCNN(noise(6, seed), 3, **fields)
    p = patches(net)
    image_sum = p.sum(axis=0) * (1.0 if net.pool == "sum" else 1.0 / len(p))
    h = 1e-6
    a, slope = net.residual(pooled), (net.residual(pooled + h) - net.residual(pooled - h)) / (2 * h)
    at_zero = a - slope * pooled
    kernel = random_kernel(3, seed)
    for linear, share, gram in (
        (net.activated(pooled), 1.0, 0.0),
        (net.transitioning_moving_residual(pooled), 0.5, net.beta / 2),
    ):
        response = share * image_sum @ kernel.ravel()
        expected = (at_zero + slope * response) * share * image_sum
        expected += gram * at_zero * (p.T @ p) @ kernel.ravel() * (1.0 if net.pool == "sum" else 1.0 / len(p))
        gradient = linear.evaluate(kernel).gradient
        np.testing.assert_allclose(gradient.ravel(), expected, rtol=1e-6, atol=1e-7)


def test_activated_is_the_network_far_above_zero():
    """On a positive image a large positive kernel puts every response far above 0 (table 3)."""
    net = OneLayerCNN(np.abs(noise(8, 0)) + 1.0, 3, label=0, pool="mean", beta=4.0)
    kernel = np.full((3, 3), 2.0)
    linear = net.activated(float(net.pooled(kernel)))
    gradient = linear.evaluate(kernel, 0.3).gradient
    np.testing.assert_allclose(gradient, net.gradient(kernel, 0.3), rtol=1e-9)
    direction = random_kernel(3, 1)
    np.testing.assert_allclose(linear.apply(direction), net.hessian(kernel).apply(direction), rtol=1e-6, atol=1e-12)


def test_not_activated_is_weight_decay_alone():
    net = OneLayerCNN(np.abs(noise(8, 0)) + 1.0, 3, beta=4.0)
    kernel = np.full((3, 3), -5.0)
    linear = net.not_activated()
    gradient = linear.evaluate(kernel, 0.3).gradient
    np.testing.assert_allclose(gradient, 0.3 * kernel)
    np.testing.assert_allclose(net.gradient(kernel, 0.3), gradient, atol=1e-20)


@settings(deadline=None, max_examples=30)
@given(fields=fields, seed=st.integers(0, 99), kind=st.sampled_from(["constant", "moving", "activated", "not"]))
def test_loss_is_the_potential_of_the_gradient(fields, seed, kind):
    net = OneLayerCNN(noise(6, seed), 3, **fields)
    linear = {
        "constant": net.transitioning,
        "moving": net.transitioning_moving_residual,
        "activated": net.activated,
        "not": net.not_activated,
    }[kind]()
    kernel, direction = random_kernel(3, seed), random_kernel(3, seed + 1)
    above, below = (linear.evaluate(kernel + t * direction, 0.7).loss for t in (1.0, -1.0))
    # The loss is quadratic, so the central difference is its derivative without error.
    slope = np.sum(linear.evaluate(kernel, 0.7).gradient * direction)
    np.testing.assert_allclose((above - below) / 2, slope, rtol=1e-9, atol=1e-9 * abs(above))


@settings(deadline=None, max_examples=30)
@given(
    size=st.integers(1, 7),
    seed=st.integers(0, 99),
    pool=st.sampled_from(["sum", "mean"]),
    kind=st.sampled_from(["constant", "moving", "activated", "not"]),
)
def test_symbol_is_the_spectrum_of_a_circular_full_window(size, seed, pool, kind):
    """With a circular boundary and W = N the operator is diagonal in Fourier space (theorem 5.3, D.4, D.5)."""
    net = OneLayerCNN(noise(size, seed) + 0.5, size, pool=pool, boundary="circular", beta=2.0)
    linear = {
        "constant": net.transitioning,
        "moving": net.transitioning_moving_residual,
        "activated": net.activated,
        "not": net.not_activated,
    }[kind]()
    eigenvalues = np.linalg.eigvalsh(dense(linear))
    scale = max(1.0, np.abs(eigenvalues).max())
    np.testing.assert_allclose(eigenvalues, np.sort(linear.symbol().ravel()), atol=1e-10 * scale)
    waves = np.cos(2 * np.pi * np.arange(size) / size)  # frequency 1 along the rows
    np.testing.assert_allclose(
        linear.apply(waves[:, None] * np.ones(size)),
        linear.symbol()[1 % size, 0] * waves[:, None] * np.ones(size),
        atol=1e-10 * scale * size,
    )


def test_amplification_factor_of_the_checkerboard():
    """Theorem 5.3 by hand: all of |I^|^2 = N^4 sits at the highest frequency."""
    net = OneLayerCNN(checkerboard(8), 3, beta=2.0)
    factor = net.transitioning(residual=-0.5).amplification(lr=1e-3, weight_decay=100.0)
    expected = np.full((8, 8), 1 - 1e-3 * 100.0)
    expected[4, 4] += 1e-3 * 0.5 * 8**4
    np.testing.assert_allclose(factor, expected, rtol=1e-12)


def test_default_residual_is_the_untrained_networks():
    assert OneLayerCNN(checkerboard(4), 2, label=1).transitioning().gram == -0.25
    assert OneLayerCNN(checkerboard(4), 2, label=0).transitioning().gram == 0.25
    assert OneLayerCNN(checkerboard(4), 2, objective="squared").transitioning().gram == -0.125


def test_a_residual_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="residual must be finite, not nan"):
        OneLayerCNN(checkerboard(4), 2).transitioning(float("nan"))
