from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lastbit.pde.multilayer import MultiLayerCNN

torch.set_num_threads(1)


@st.composite
def networks(draw, boundaries=("valid", "same", "circular"), max_layers=4):
    """Random networks of a few layers, every option varied."""
    widths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=max_layers))
    size = draw(st.integers(sum(width - 1 for width in widths) + 1, 16))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    scale = draw(st.sampled_from([0.1, 1.0]))
    return MultiLayerCNN(
        random.standard_normal((size, size)),
        [scale * random.standard_normal((width, width)) for width in widths],
        label=draw(st.integers(0, 1)),
        beta=draw(st.sampled_from([0.0, 0.5, 1.0, 5.0])),
        pool=draw(st.sampled_from(["sum", "mean"])),
        boundary=draw(st.sampled_from(boundaries)),
        objective=draw(st.sampled_from(["cross-entropy", "squared"])),
    )


def torch_pooled(net, kernels):
    """The pooled response by torch's own convolutions, padding and autograd."""
    h = torch.tensor(np.array(net.image))[None, None]
    for kernel in kernels:
        before, after = (len(kernel) - 1) // 2, len(kernel) // 2
        if net.boundary == "same":
            h = F.pad(h, (before, after, before, after))
        elif net.boundary == "circular":
            h = F.pad(h, (0, len(kernel) - 1, 0, len(kernel) - 1), mode="circular")
        z = F.conv2d(h, kernel[None, None])
        h = z * torch.sigmoid(net.beta * z)
    return h.sum() if net.pool == "sum" else h.mean()


def torch_loss(net, kernels, weight_decay):
    pooled = torch_pooled(net, kernels)
    if net.objective == "squared":
        data = (torch.sigmoid(pooled) - net.label) ** 2
    else:
        data = F.binary_cross_entropy_with_logits(pooled, torch.tensor(float(net.label), dtype=pooled.dtype))
    return data + weight_decay / 2 * sum(kernel.square().sum() for kernel in kernels)


@settings(max_examples=80, deadline=None)
@given(net=networks(), weight_decay=st.floats(0, 2))
def test_loss_and_gradients_of_theorem_5_7_are_those_of_autograd(net, weight_decay):
    kernels = [torch.tensor(np.array(kernel), requires_grad=True) for kernel in net.kernels]
    loss = torch_loss(net, kernels, weight_decay)
    loss.backward()
    assert net.loss(weight_decay) == pytest.approx(loss.item(), rel=1e-12)
    for ours, kernel in zip(net.gradients(weight_decay), kernels, strict=True):
        theirs = kernel.grad.numpy()
        # Relative to the gradient, and to rounding of the sums it is a difference of.
        assert np.linalg.norm(ours - theirs) <= 1e-10 * np.linalg.norm(theirs) + 1e-13


@settings(max_examples=40, deadline=None)
@given(net=networks())
def test_signals_are_the_derivatives_of_the_pooled_response_in_the_outputs(net):
    for number, (state, signal) in enumerate(zip(net.layers, net.signals(), strict=True), 1):
        h = torch.tensor(np.array(state.output), requires_grad=True)
        above = replace(net, image=state.output, kernels=net.kernels[number:]) if number < len(net.kernels) else None
        rest = h.sum() if net.pool == "sum" else h.mean()
        if above is not None:
            hidden = h[None, None]
            for kernel in map(np.array, above.kernels):
                pad = [(len(kernel) - 1) // 2, len(kernel) // 2] * 2
                if net.boundary == "same":
                    hidden = F.pad(hidden, pad)
                elif net.boundary == "circular":
                    hidden = F.pad(hidden, (0, len(kernel) - 1, 0, len(kernel) - 1), mode="circular")
                z = F.conv2d(hidden, torch.tensor(kernel)[None, None])
                hidden = z * torch.sigmoid(net.beta * z)
            rest = hidden.sum() if net.pool == "sum" else hidden.mean()
        rest.backward()
        np.testing.assert_allclose(signal, h.grad.numpy(), rtol=1e-10, atol=1e-12 * abs(signal).max())


def test_single_precision_stays_single_and_agrees_with_double():
    random = np.random.default_rng(0)
    image, kernels = random.standard_normal((20, 20)), [random.standard_normal((w, w)) for w in (5, 3)]
    double = MultiLayerCNN(image, kernels, pool="mean")
    single = MultiLayerCNN(image.astype(np.float32), kernels, pool="mean")
    for coarse, fine in zip(single.gradients(0.1), double.gradients(0.1), strict=True):
        assert coarse.dtype == np.float32
        np.testing.assert_allclose(coarse, fine, rtol=1e-4, atol=1e-5)


def test_in_every_regime_the_signal_has_left_the_kernel_behind():
    """Appendix F: hold r' at 1/2, 1 or 0 above and g_l is a fixed filter of the kernels above, with the stated mean."""
    random = np.random.default_rng(1)
    net = MultiLayerCNN(
        random.standard_normal((12, 12)), [random.standard_normal((3, 3)) for _ in range(3)], boundary="circular"
    )
    sums = [kernel.sum() for kernel in net.kernels]
    for regime, slope in (("transitioning", 0.5), ("activated", 1.0), ("not activated", 0.0)):
        np.testing.assert_allclose(net.mean_signal(1, regime), slope**2 * sums[1] * sums[2], rtol=1e-12)
        np.testing.assert_allclose(net.mean_signal(2, regime), slope * sums[2], rtol=1e-12)
        assert net.mean_signal(3, regime) == 1
    moved = replace(net, kernels=[random.standard_normal((3, 3)), *net.kernels[1:]])
    assert moved.mean_signal(1) == net.mean_signal(1)
    assert moved.mean_signal(1, None) != net.mean_signal(1, None)


@pytest.mark.parametrize(("scale", "regime"), [(1e-8, "transitioning"), (1e4, "activated")])
def test_far_into_a_regime_the_present_signal_is_the_regimes(scale, regime):
    """A positive image and positive kernels put every z_l on the same side, near zero or far above it."""
    random = np.random.default_rng(2)
    image = 1 + random.random((10, 10))
    kernels = [scale * random.random((3, 3)), random.random((3, 3)), random.random((2, 2))]
    net = MultiLayerCNN(image, kernels, pool="mean")
    np.testing.assert_allclose(net.signals()[0], net.signals(regime)[0], rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(net=networks(max_layers=2), weight_decay=st.floats(0, 3), lr=st.floats(0.01, 1))
def test_exact_bounds_are_the_dense_eigenvalues_with_input_and_residual_replaced(net, weight_decay, lr):
    for layer, state in enumerate(net.layers, 1):
        width = len(net.kernels[layer - 1])
        patches = im2col(state.input, width, net.boundary)
        curvature = net.residual * net.mean_signal(layer) * net.beta / 2
        values = curvature * np.linalg.eigvalsh(patches.T @ patches)
        decay = net.bounds(layer, lr=lr, window="exact")
        scale = abs(values).max() + 1e-12
        assert decay.lower == pytest.approx(max(0, -values.min()), abs=1e-9 * scale)
        assert decay.upper == pytest.approx(2 / lr - values.max(), abs=1e-9 * (scale + 2 / lr))
        rate = net.bounds(layer, weight_decay=weight_decay + 2 * scale, window="exact")
        assert rate.upper == pytest.approx(2 / (weight_decay + 2 * scale + values.max()), rel=1e-8)
        steeper = net.bounds(layer, lr=lr, window="exact", momentum=0.9, nesterov=True)
        assert steeper.upper == pytest.approx(3.8 / 2.8 / lr - values.max(), abs=1e-9 * (scale + 2 / lr))


def im2col(image, width, boundary):
    pad = {"valid": ((0, 0), "constant"), "same": (((width - 1) // 2, width // 2), "constant")}
    between, mode = pad.get(boundary, ((0, width - 1), "wrap"))
    extended = np.pad(image, between, mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(extended, (width, width))
    return windows.reshape(-1, width * width)


def test_infinite_and_pixel_bounds_are_equations_14_and_19():
    random = np.random.default_rng(3)
    net = MultiLayerCNN(random.standard_normal((9, 9)), [random.standard_normal((3, 3)) for _ in range(2)], label=0)
    h, signal = net.layers[0].output, 1.0
    power = abs(np.fft.fft2(h)) ** 2
    factor = net.residual * signal * net.beta / 2
    assert net.bounds(2, lr=0.1, window="infinite").upper == pytest.approx(20 - factor * power.max())
    assert net.bounds(2, lr=0.1, window="pixel").upper == pytest.approx(20 - factor * (h**2).sum())
    assert net.bounds(2, lr=0.1, residual=-0.5, window="infinite").lower == pytest.approx(0.25 * power.max())
    doubled = net.bounds(2, lr=0.1, residual=-0.5, signal=2.0, window="infinite")
    assert doubled.lower == pytest.approx(0.5 * power.max())


def test_descent_on_the_top_layer_obeys_its_bounds():
    """Simulated on the network itself, far enough into the transitioning regime for it to be linear."""
    random = np.random.default_rng(4)
    net = MultiLayerCNN(random.standard_normal((10, 10)), [np.eye(3), np.zeros((3, 3))], label=0)
    # Cross-entropy moves its residual with the pooled response; the analysis holds it, so it is held here.
    weight_decay = 1.0
    limit = net.bounds(2, weight_decay=weight_decay, residual=0.5).upper
    mode = net.bounds(2, weight_decay=weight_decay, residual=0.5).upper_critical.vector

    def error_after(lr, steps=60):
        twins = [np.zeros((3, 3)), 1e-9 * mode]
        for _ in range(steps):
            for i, kernel in enumerate(twins):
                moved = replace(net, kernels=[net.kernels[0], kernel])
                (_, gradient) = moved.gradients()
                twins[i] = kernel - lr * (gradient * 0.5 / moved.residual + weight_decay * kernel)
            twins = [twin - twins[0] for twin in twins]  # back to z = 0, about which the analysis holds
        return np.linalg.norm(twins[1])

    assert error_after(0.95 * limit) < 1e-10
    assert error_after(1.05 * limit) > 1e-8


def test_a_network_that_blew_up_says_nan_without_warnings_and_has_no_bounds():
    net = MultiLayerCNN(np.ones((6, 6)), [np.full((2, 2), 1e300), np.full((2, 2), -1e300)])
    assert not np.isfinite(net.loss(1.0))
    assert not np.isfinite(net.gradients()[0]).all()
    with pytest.raises(ValueError, match="layer 2 is not finite"):
        net.bounds(2, lr=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": []}, "at least one layer"),
        ({"kernels": [np.ones((3, 3)), np.ones((4, 4))]}, "kernel 2 is 4 wide, wider than its layer's 3-pixel input"),
        ({"kernels": [np.ones((3, 2))]}, r"kernel 1 has shape \(3, 2\)"),
        ({"label": 2}, "label must be 0 or 1, not 2"),
        ({"beta": -1.0}, "beta must be finite and at least 0, not -1.0"),
        ({"pool": "max"}, "pool must be one of sum, mean, not 'max'"),
        ({"boundary": "reflect"}, "boundary must be one of valid, same, circular, not 'reflect'"),
        ({"objective": "hinge"}, "objective must be one of cross-entropy, squared, not 'hinge'"),
        ({"image": np.full((5, 5), np.nan)}, "finite"),
        ({"image": np.ones((5, 4))}, "square"),
    ],
)
def test_wrong_networks_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MultiLayerCNN(**{"image": np.ones((5, 5)), "kernels": [np.ones((3, 3))]} | change)


def test_wrong_questions_are_refused():
    net = MultiLayerCNN(np.ones((5, 5)), [np.ones((3, 3))])
    for question, message in (
        ({"layer": 0, "lr": 0.1}, "layer is 0; layers are numbered 1 to 1"),
        ({"layer": 1}, "exactly one of lr"),
        ({"layer": 1, "lr": 0.1, "weight_decay": 0.1}, "exactly one of lr"),
        ({"layer": 1, "lr": -0.1}, "learning rate"),
        ({"layer": 1, "weight_decay": -0.1}, "weight decay"),
        ({"layer": 1, "lr": 0.1, "window": "square"}, "window must be one of infinite, pixel, exact, not 'square'"),
        ({"layer": 1, "lr": 0.1, "momentum": 1.5}, "momentum"),
    ):
        with pytest.raises(ValueError, match=message):
            net.bounds(**question)
    with pytest.raises(ValueError, match="regime is 'dead'"):
        net.mean_signal(1, "dead")
