"""The one-layer network against automatic differentiation and hand-made cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.pde.images import checkerboard, noise, random_kernel
from lastbit.pde.one_layer import OneLayerCNN

nets = st.builds(
    lambda size, share, seed, **fields: OneLayerCNN(noise(size, seed), max(1, round(share * size)), **fields),
    size=st.integers(1, 12),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
    label=st.sampled_from([0, 1]),
    beta=st.floats(0.0, 8.0),
    pool=st.sampled_from(["sum", "mean"]),
    boundary=st.sampled_from(["valid", "same", "circular"]),
    objective=st.sampled_from(["cross-entropy", "squared"]),
    method=st.sampled_from(["auto", "fft", "direct"]),
)


def torch_loss(net, kernel, weight_decay):
    """The same network written as a user of torch would write it."""
    image = torch.tensor(net.image.copy())[None, None]
    before = (net.kernel - 1) // 2
    padding = {"valid": (0, 0), "same": (before, net.kernel - 1 - before), "circular": (0, net.kernel - 1)}[
        net.boundary
    ]
    if net.boundary == "circular":  # F.pad wraps at most once around; a kernel as large as the image needs no more
        image = torch.nn.functional.pad(image, padding * 2, mode="circular")
    else:
        image = torch.nn.functional.pad(image, padding * 2)
    z = torch.nn.functional.conv2d(image, kernel[None, None])
    r = z * torch.sigmoid(net.beta * z)
    pooled = r.sum() if net.pool == "sum" else r.mean()
    label = torch.tensor(float(net.label), dtype=torch.float64)
    if net.objective == "cross-entropy":
        data = torch.nn.functional.binary_cross_entropy_with_logits(pooled, label)
    else:
        data = torch.nn.functional.mse_loss(torch.sigmoid(pooled), label)
    return data + weight_decay / 2 * (kernel**2).sum()


@settings(deadline=None, max_examples=150)
@given(net=nets, seed=st.integers(0, 1000), scale=st.floats(0.01, 1.0), weight_decay=st.floats(0.0, 10.0))
def test_loss_and_gradient_agree_with_autograd(net, seed, scale, weight_decay):
    kernel = scale * random_kernel(net.kernel, seed)
    variable = torch.tensor(kernel, requires_grad=True)
    expected = torch_loss(net, variable, weight_decay)
    (gradient,) = torch.autograd.grad(expected, variable)
    # |I| bounds every entry of D, so this is the size of what is summed, even where the sum cancels.
    size = np.abs(net.image).sum() + weight_decay * np.abs(kernel).max()
    np.testing.assert_allclose(net.loss(kernel, weight_decay), expected.item(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(net.gradient(kernel, weight_decay), gradient.numpy(), rtol=1e-10, atol=1e-12 * size)


@settings(deadline=None, max_examples=60)
@given(net=nets, seed=st.integers(0, 1000), weight_decay=st.floats(0.0, 10.0))
def test_hessian_product_agrees_with_autograd(net, seed, weight_decay):
    kernel = 0.3 * random_kernel(net.kernel, seed)
    direction = random_kernel(net.kernel, seed + 1)
    _, expected = torch.autograd.functional.hvp(
        lambda k: torch_loss(net, k, weight_decay), torch.tensor(kernel), torch.tensor(direction)
    )
    product = net.hessian(kernel, weight_decay).apply(direction)
    size = (np.abs(net.image).sum() ** 2 + weight_decay) * np.abs(direction).sum()
    np.testing.assert_allclose(product, expected.numpy(), rtol=1e-9, atol=1e-13 * size)


@settings(deadline=None, max_examples=40)
@given(net=nets, seed=st.integers(0, 1000))
def test_a_batch_is_its_members(net, seed):
    kernels = np.stack([random_kernel(net.kernel, seed + i) for i in range(6)]).reshape(2, 3, net.kernel, net.kernel)
    weight_decays = np.arange(6.0).reshape(2, 3)
    loss, gradient = net.loss_and_gradient(kernels, weight_decays)
    batch = net.evaluate(kernels, weight_decays)
    np.testing.assert_allclose(loss, batch.loss, rtol=1e-12)
    np.testing.assert_allclose(gradient, batch.gradient, rtol=1e-10, atol=1e-11 * (1 + np.abs(gradient).max()))
    loss, gradient = batch.loss, batch.gradient
    assert loss.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        single = net.evaluate(kernels[i, j], weight_decays[i, j])
        np.testing.assert_allclose(loss[i, j], single.loss, rtol=1e-12)
        size = 1 + np.abs(single.gradient).max()
        np.testing.assert_allclose(gradient[i, j], single.gradient, rtol=1e-10, atol=1e-11 * size)
        np.testing.assert_allclose(batch.response[i, j], single.response, atol=1e-11)


@settings(deadline=None, max_examples=40)
@given(net=nets, seed=st.integers(0, 1000))
def test_single_precision_follows_double(net, seed):
    single = replace(net, image=net.image.astype(np.float32))
    kernel = random_kernel(net.kernel, seed) / net.kernel
    loss, gradient = single.loss(kernel), single.gradient(kernel)
    assert loss.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, net.gradient(kernel), atol=3e-4 * np.abs(net.image).sum())
    assert net.astype("float64") is net
    assert net.astype("float32").dtype == np.float32
    np.testing.assert_array_equal(single.astype("float64").image, single.image)


def test_direct_keeps_equal_patches_once():
    net = OneLayerCNN(checkerboard(12), kernel=3, method="direct")
    assert net.response(np.ones((3, 3))).shape == (2,)
    assert net.correlation.positions == 100
    np.testing.assert_array_equal(np.sort(net.correlation.all_patches.multiplicity), [50, 50])


def test_default_method_is_direct_for_small_problems_and_fft_for_large_ones():
    assert type(OneLayerCNN(noise(64, 0), kernel=8).correlation).__name__ == "PatchCorrelation"
    assert type(OneLayerCNN(noise(256, 0), kernel=32).correlation).__name__ == "FourierCorrelation"


def test_published_first_loss():
    """Figure 5's initial loss, which does not depend on the learning rate."""
    net = OneLayerCNN(checkerboard(256), kernel=32, pool="mean")
    assert net.loss(random_kernel(32, 7), 20.0) == pytest.approx(9498.183801, abs=5e-7)


def test_huge_responses_stay_finite():
    net = OneLayerCNN(checkerboard(8), kernel=4)
    kernel = 1e6 * random_kernel(4, 0)
    loss, gradient = net.loss(kernel), net.gradient(kernel)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": 9}, r"kernel must be 1 \.\.\. 8 pixels wide \(the image's size\), not 9"),
        ({"kernel": 0}, "not 0"),
        ({"label": 2}, "label must be 0 or 1, not 2"),
        ({"beta": -1.0}, "beta must be finite and at least 0, not -1.0"),
        ({"beta": float("nan")}, "beta must be finite"),
        ({"pool": "max"}, "pool must be one of sum, mean, not 'max'"),
        ({"boundary": "reflect"}, "boundary must be one of valid, same, circular, not 'reflect'"),
        ({"objective": "hinge"}, "objective must be one of cross-entropy, squared, not 'hinge'"),
        ({"method": "gpu"}, "method must be one of auto, fft, direct, not 'gpu'"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        OneLayerCNN(checkerboard(8), **{"kernel": 3, **fields})


def test_wrong_kernel_shape_is_named():
    with pytest.raises(ValueError, match=r"kernels must be of shape \(\.\.\., 3, 3\), not \(4, 3\)"):
        OneLayerCNN(checkerboard(8), kernel=3).gradient(np.zeros((4, 3)))
