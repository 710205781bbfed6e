import pytest
import torch
from torch import nn

from lastbit.noise import Scale, Ulp, Unperturbed, perturb
from lastbit.script.noise_put_on import RefusedError, attach


def network():
    torch.manual_seed(0)
    return nn.Linear(16, 16)


def stepped(model, optimizer, steps=5):
    inputs = torch.randn(32, 16, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    return model.weight.detach()


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_fused_optimizer_steps_as_the_unfused_perturbed_one(kind, k):
    model, other = network(), network()
    optimizer = kind(model.parameters(), lr=0.1, fused=True)
    assert attach(optimizer, Scale(k))
    assert not hasattr(optimizer, "_step_supports_amp_scaling")
    expected = stepped(other, perturb(kind(other.parameters(), lr=0.1), Scale(k)))
    assert torch.equal(stepped(model, optimizer), expected)


def test_other_noises_leave_fused_kernels_alone():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    assert not attach(optimizer, Ulp(1))
    assert not attach(torch.optim.Adam(network().parameters(), fused=True), Unperturbed())
    assert optimizer.param_groups[0]["fused"]


def test_nothing_is_reported_of_an_optimizer_that_was_not_fused():
    assert not attach(torch.optim.SGD(network().parameters(), lr=0.1), Scale(3))


def test_k_is_refused_for_other_optimizers_with_what_to_do():
    with pytest.raises(
        RefusedError, match=r"themselves, not torch.optim.adadelta.Adadelta; the noises ulp and rounding take any"
    ):
        attach(torch.optim.Adadelta(network().parameters()), Scale(1))


def test_an_option_that_cannot_be_perturbed_is_named():
    with pytest.raises(RefusedError, match="the script's Adam: capturable=True cannot be perturbed"):
        attach(torch.optim.Adam(network().parameters(), capturable=True), Scale(3))
