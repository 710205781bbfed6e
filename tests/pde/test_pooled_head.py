"""The losses' slope and curvature against automatic differentiation."""

import numpy as np
import pytest
import torch

from lastbit.pde.pooled_head import LOSSES

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
