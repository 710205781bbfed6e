"""The descents of figures 7 to 9 against dense Hessians of a loss written out here."""

import pytest
import torch
from torch.nn import functional

from lastbit.paper.items.descents import descent_of, follow, peak, rises, slow_descent

EVERY = 100  # images: 22 are left
DECAY = 0.05


def descent(lr, *changes):
    return descent_of(
        "conv-mnist01",
        ["dtype=float64", f"optimizer.lr={lr}", f"optimizer.weight_decay={DECAY}", *changes],
        device="cpu",
        every_image=EVERY,
    )


def objective(kernels, images, labels):
    hidden = images
    for kernel in kernels.reshape(-1, 1, 1, 3, 3):
        z = functional.conv2d(hidden, kernel)
        hidden = z * torch.sigmoid(z)
    pooled = hidden.mean((1, 2, 3))
    losses = functional.binary_cross_entropy_with_logits(pooled, labels.double())
    return losses + DECAY / 2 * kernels.square().sum()


def dense_sharpness(kernels, batch):
    hessian = torch.autograd.functional.hessian(lambda k: objective(k, *batch), kernels)
    return float(torch.linalg.eigvalsh(hessian)[-1])


def test_losses_and_sharpness_are_those_of_the_objective_with_weight_decay():
    start, batch = descent(2.0, "model.depth=2")
    kernels = torch.nn.utils.parameters_to_vector(start.model.parameters()).detach().requires_grad_()
    found = follow(start, batch, steps=4, every=2)
    expected = []
    for step in range(5):
        loss = objective(kernels, *batch)
        if step % 2 == 0:
            expected.append(2.0 * dense_sharpness(kernels.detach(), batch))
        assert found["loss"][step] == pytest.approx(float(loss.detach()), rel=1e-7)
        (slope,) = torch.autograd.grad(loss, kernels)
        kernels = (kernels - 2.0 * slope).detach().requires_grad_()
    assert found["sharpness"] == {"step": [0, 2, 4], "normalised": pytest.approx(expected, rel=1e-3)}
    assert peak(found) == max(found["sharpness"]["normalised"])


def test_both_classes_are_kept():
    _, (images, labels) = descent(1.0)
    assert len(images) == 22
    assert 5 < int(labels.sum()) < 17


@pytest.mark.parametrize(("lr", "regime"), [(2.0, "stable"), (45.0, "blow-up")])
def test_weight_decay_alone_bounds_the_rate(lr, regime):
    """With the kernel far out on the dead side of Swish only lr * decay counts: 0.1, and 2.25."""
    start, batch = descent(lr)
    with torch.no_grad():
        next(iter(start.model.parameters())).fill_(-1e6)
    found = follow(start, batch, steps=40, every=40)
    assert found["regime"] == regime


def test_a_goal_ends_a_descent():
    start, batch = descent(2.0)
    first = follow(start, batch, steps=3, every=3)["loss"]
    start, batch = descent(2.0)
    # The goal is one of the loss without weight decay, which is below the loss with it.
    assert len(follow(start, batch, steps=3, every=3, goal=first[0])["loss"]) == 1


def test_a_slow_descent_keeps_its_share_of_the_edge():
    start, batch = descent_of("conv-mnist01", ["dtype=float64", "optimizer.lr=1.0"], device="cpu", every_image=EVERY)
    found = slow_descent(start, batch, share=0.5, steps=20, every=5, goal=0.0)
    assert found["step"] == [0, 5, 10, 15, 20]
    rates = [(b - a) / 5 for a, b in zip(found["time"], found["time"][1:], strict=False)]
    assert rates == pytest.approx([1.0 / value for value in found["sharpness"][:-1]])
    assert found["loss"] == sorted(found["loss"], reverse=True)
    assert not found["goal_reached"]


def test_rises_are_beyond_rounding_and_count_the_end_of_a_blow_up():
    assert rises([1.0, 0.5, 0.5 + 1e-7, 0.6, None]) == [3, 4]
