"""Swish and its derivatives against sympy; the losses' slope and curvature against automatic differentiation."""

import numpy as np
import pytest
import sympy
import torch

from lastbit.pde.head import LOSSES, sigmoid, swish, swish_and_slope, swish_curvature

Z = np.array([-30.0, -3.0, -1e-3, 0.0, 0.2, 1.0, 7.0, 40.0])


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 5.0])
def test_derivatives_against_symbolic_ones(beta):
    z, b = sympy.symbols("z b")
    r = z / (1 + sympy.exp(-b * z))
    value, slope, curvature = (
        [float(sympy.diff(r, z, order).subs({z: x, b: beta}).evalf(30)) for x in Z] for order in range(3)
    )
    np.testing.assert_allclose(swish(Z, beta), value, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(swish_and_slope(Z, beta), [value, slope], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(swish_curvature(Z, beta), curvature, rtol=1e-13, atol=1e-13)


def test_values_the_linearisation_rests_on():
    zero = np.zeros(1)
    assert swish_and_slope(zero, 3.0)[1] == 0.5
    assert swish_curvature(zero, 3.0) == 1.5


def test_sigmoid_neither_overflows_nor_changes_precision():
    extremes = np.array([-3e38, -100.0, 100.0, 3e38], np.float32)
    assert sigmoid(extremes).dtype == np.float32
    np.testing.assert_array_equal(sigmoid(extremes), [0, 0, 1, 1])


POOLED = np.array([-30.0, -2.0, 0.0, 0.3, 25.0])


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("name", ["cross-entropy", "squared"])
def test_against_autograd(name, label):
    p = torch.tensor(POOLED, requires_grad=True)
    target = torch.full_like(p, float(label))
    if name == "cross-entropy":
        value = torch.nn.functional.binary_cross_entropy_with_logits(p, target, reduction="none")
    else:
        value = (torch.sigmoid(p) - target) ** 2
    (slope,) = torch.autograd.grad(value.sum(), p, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), p)
    loss = LOSSES[name]
    np.testing.assert_allclose(loss.value(POOLED, label), value.detach().numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(loss.slope(POOLED, label), slope.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(loss.curvature(POOLED, label), curvature.numpy(), rtol=1e-10, atol=1e-15)


def test_cross_entropy_of_a_huge_response_is_finite():
    assert LOSSES["cross-entropy"].value(np.array(-1e300), 1) == 1e300


def test_cross_entropy_keeps_its_far_tail():
    assert LOSSES["cross-entropy"].value(np.array(40.0), 1) == pytest.approx(np.exp(-40.0), rel=1e-12)
    assert LOSSES["cross-entropy"].value(np.array(-40.0), 0) == pytest.approx(np.exp(-40.0), rel=1e-12)
