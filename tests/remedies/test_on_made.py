"""Remedies put from outside on an optimizer that a script has made, against updates written out."""

import math

import pytest
import torch

from lastbit.errors import LastbitError
from lastbit.noise import Scale, install
from lastbit.remedies.given import parse_treatment, script_treatments


def weights(text, gradients, *, rate=0.1, noise=None, scheduled=None):
    """The weight after each step of SGD with these gradients, from 0."""
    weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=rate)
    if noise is not None:
        install(optimizer, noise)
    for remedy in parse_treatment(text):
        remedy.on_made(optimizer)
    seen = []
    for step, gradient in enumerate(gradients):
        if scheduled is not None:
            optimizer.param_groups[0]["lr"] = scheduled(step)
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        before = optimizer.param_groups[0]["lr"]
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == before  # the script and its scheduler see their own
        seen.append(weight.detach().clone())
    return seen


GRADIENTS = [(3.0, 4.0), (0.3, 0.4), (-6.0, 8.0)]


def summed(factors):
    total, seen = torch.zeros(2, dtype=torch.float64), []
    for factor, gradient in zip(factors, GRADIENTS, strict=True):
        total = total - factor * torch.tensor(gradient, dtype=torch.float64)
        seen.append(total)
    return torch.stack(seen)


@pytest.mark.parametrize(
    ("text", "factors"),
    [
        ("clip=1", [0.1 / 5, 0.1, 0.1 / 10]),
        ("lr=0.5", [0.05] * 3),
        ("warmup=2", [0.05, 0.1, 0.1]),
        ("lr=0.5+warmup=2", [0.025, 0.05, 0.05]),
        ("clip=1+lr=0.5", [0.05 / 5, 0.05, 0.05 / 10]),
    ],
)
@pytest.mark.parametrize("noise", [None, Scale(2)])
def test_updates_are_those_written_out(text, factors, noise):
    torch.testing.assert_close(torch.stack(weights(text, GRADIENTS, noise=noise)), summed(factors), rtol=1e-5, atol=0)


def test_a_scripts_own_schedule_goes_on_under_a_factor():
    seen = weights("lr=0.5", GRADIENTS, scheduled=lambda step: 0.1 * 10**-step)
    torch.testing.assert_close(torch.stack(seen), summed([0.05, 0.005, 0.0005]))


def test_clipping_comes_after_a_gradient_scaler_has_divided():
    """A fused optimizer would divide by the scale itself, after the hook: 1/65536 of the norm would be let through."""
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0, fused=True)
    (clip,) = parse_treatment("clip=1")
    clip.on_made(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
    scaler.scale((weight * torch.tensor([3.0, 4.0])).sum()).backward()
    scaler.step(optimizer)
    assert math.isclose(weight.norm().item(), 1.0, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["capped"], "--remedy capped=0.9 cannot be put on a script from outside: it measures curvature by the loss"),
        (["anneal"], "--remedy anneal=0 cannot be put on a script from outside: it follows the number of updates"),
        (["smooth=silu:first=net.1"], "first goes by the modules of a model, which a script does not show"),
        (["smooth:max_pool=true"], "max_pool goes by the modules of a model, which a script does not show"),
        (["smoth=silu"], "there is no remedy 'smoth', did you mean smooth?"),
        (["smooth=sillu"], "there is no smooth activation 'sillu': did you mean silu"),
        (["clip=1", "clip=1"], "clip=1 is given twice"),
    ],
)
def test_what_cannot_be_put_on_is_refused_in_a_line(texts, message):
    with pytest.raises(LastbitError) as refused:
        script_treatments(texts)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_option_is_a_treatment_and_a_plus_joins_two():
    assert script_treatments([]) == []
    treatments = script_treatments(["smooth=silu", "lr=0.5+clip=1"])
    assert [[remedy.name for remedy in treatment] for treatment in treatments] == [["smooth"], ["clip", "lr"]]


def test_a_step_that_fails_leaves_no_factor_behind():
    """A script may catch an error of its closure, as of memory, and go on: rates are halved once, and not again."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for remedy in parse_treatment("lr=0.5"):
        remedy.on_made(optimizer)
    with pytest.raises(MemoryError):
        optimizer.step(lambda: (_ for _ in ()).throw(MemoryError()))
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert weight.item() == pytest.approx(-0.05)
    assert optimizer.param_groups[0]["lr"] == 0.1
