"""Compensated and randomly rounded steps of low-precision weights, against float64 sums, torch's steps and chance."""

import copy
import math
import warnings

import pytest
import torch

import lastbit as lb
from lastbit.errors import LastbitError
from lastbit.remedies.given import parse_treatment
from lastbit.remedies.stochastic_rounding import rounded_at_random

BF16, HALF = torch.bfloat16, torch.float16
WAYS = (lb.remedies.compensated, lb.remedies.stochastic_rounding)
LAST_PLACE = {BF16: 2.0**-8, HALF: 2.0**-11}  # half of what is between 1 and the next number


def gradients(steps, dtype=BF16, size=64):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(size, generator=generator).to(dtype) for _ in range(steps)]


def start(dtype=BF16, size=64):
    return torch.nn.Parameter((1 + torch.rand(size, generator=torch.Generator().manual_seed(4))).to(dtype))


def run(optimizer, weight, pushes):
    for push in pushes:
        weight.grad = push.to(weight.dtype)
        optimizer.step()


@pytest.mark.parametrize("dtype", [BF16, HALF])
def test_compensated_sums_are_those_of_float64_where_plain_ones_stand_still(dtype):
    pushes = [push.abs() for push in gradients(2000, dtype)]
    exact = start(dtype).detach().double() - 1e-4 * torch.stack(pushes).double().sum(0)
    ends = {}
    for name, put_on in (("plain", lambda optimizer: optimizer), ("kahan", lb.remedies.compensated)):
        weight = start(dtype)
        optimizer = put_on(torch.optim.SGD([weight], lr=1e-4))
        run(optimizer, weight, pushes)
        ends[name] = weight.detach().double()
        if name == "kahan":
            both = ends[name] + optimizer.state_dict()["compensation"][0].double()
    assert (ends["plain"] - exact).abs().max() > 0.05
    bound = LAST_PLACE[dtype] * 2
    assert (both - exact).abs().max() < 2000 * bound * LAST_PLACE[dtype]
    assert (both - exact).abs().max() < 0.002  # signs of roundings change, so that it is far below the bound
    assert (ends["kahan"] - exact).abs().max() < bound


OPTIMIZERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.01),
    "adamw, fused": lambda weights: torch.optim.AdamW(weights, lr=0.01, fused=True),
    "adagrad": lambda weights: torch.optim.Adagrad(weights, lr=0.01),
    "rprop": lambda weights: torch.optim.Rprop(weights, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_steps_in_float32_to_what_float32_weights_would_be(name):
    low, wide = start(), torch.nn.Parameter(start().detach().float())
    optimizer = lb.remedies.compensated(OPTIMIZERS[name]([low]))
    reference = OPTIMIZERS[name]([wide])
    run(optimizer, low, gradients(1))
    run(reference, wide, gradients(1))
    assert torch.equal(low, wide.to(BF16))
    run(optimizer, low, gradients(20))
    run(reference, wide, gradients(20))
    both = low.detach().float() + optimizer.state_dict()["compensation"][0].float()
    torch.testing.assert_close(both, wide.detach(), rtol=0, atol=21 * 2.0**-16)
    assert optimizer.param_groups[0]["params"][0] is low
    assert list(optimizer.state) == [low]
    assert all(value.dtype != BF16 for value in optimizer.state[low].values() if torch.is_tensor(value))


def test_a_closure_sees_the_weights_in_their_own_format():
    weight, seen = start(), []
    optimizer = lb.remedies.compensated(torch.optim.LBFGS([weight], lr=0.5, max_iter=5))

    def closure():
        optimizer.zero_grad()
        seen.append((optimizer.param_groups[0]["params"][0] is weight, weight.dtype))
        loss = (weight - 3).square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert set(seen) == {(True, BF16)}
    torch.testing.assert_close(weight.detach(), torch.full_like(weight, 3), rtol=0, atol=2.0**-7)


@pytest.mark.parametrize("put_on", WAYS)
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_state_dictionary_goes_on_to_the_same_bits(put_on, name):
    weight = start()
    optimizer = put_on(OPTIMIZERS[name]([weight]))
    run(optimizer, weight, gradients(5))
    again = torch.nn.Parameter(weight.detach().clone())
    loaded = put_on(OPTIMIZERS[name]([again]))
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert loaded.param_groups[0]["params"][0] is again
    for each, of in ((optimizer, weight), (loaded, again)):
        run(each, of, gradients(9)[5:])
    assert torch.equal(weight, again)
    assert "compensation" in loaded.state_dict() or "rounding" in loaded.state_dict()


@pytest.mark.parametrize("put_on", WAYS)
def test_other_weights_are_stepped_as_they_are_and_those_without_a_gradient_stay(put_on):
    low, still, full = start(), start(), torch.nn.Parameter(start().detach().float())
    plain = torch.nn.Parameter(full.detach().clone())
    optimizer = put_on(torch.optim.Adam([low, still, full], lr=0.01))
    reference = torch.optim.Adam([plain], lr=0.01)
    for push in gradients(4):
        low.grad, full.grad, plain.grad = push, push.float(), push.float()
        optimizer.step()
        reference.step()
    assert torch.equal(full, plain)
    assert torch.equal(still, start())
    assert not torch.equal(low, start())


@pytest.mark.parametrize("put_on", WAYS)
def test_noise_goes_with_it_and_powers_of_two_change_nothing(put_on):
    ends = {}
    for noise in (lb.Scale(1), lb.Scale(2), lb.Scale(3), lb.Ulp(1)):
        weight = start()
        optimizer = put_on(lb.perturb(torch.optim.SGD([weight], lr=0.01, momentum=0.9), noise))
        run(optimizer, weight, gradients(30))
        ends[noise.label] = weight.detach()
    one, two, three, ulp = ends.values()
    assert torch.equal(one, two)
    assert (one - three).abs().max() <= 2.0**-6
    # One weight itself was moved by a unit in its last place, which would be lost in float32.
    assert (one != ulp).sum() == 1


def test_a_step_that_fails_leaves_the_next_one_as_it_would_have_been():
    ends = []
    for fails in (False, True):
        weight = start()
        optimizer = lb.remedies.compensated(torch.optim.SGD([weight], lr=0.01))
        if fails:
            with pytest.raises(ZeroDivisionError):
                optimizer.step(lambda: 1 // 0)
        run(optimizer, weight, gradients(3))
        ends.append(weight.detach())
        assert optimizer.param_groups[0]["params"][0] is weight
    assert torch.equal(*ends)


def values_between(dtype):
    """Numbers of float32 of all sizes, below the normal range of the format too, with the two around each."""
    generator = torch.Generator().manual_seed(5)
    values = torch.randn(200, generator=generator) * 2.0 ** torch.randint(-16, 8, (200,), generator=generator)
    values[:3] = torch.tensor([0.0, 1.0, -2.0])
    nearest = values.to(dtype)
    step = torch.where(values.double() > nearest.double(), 1, -1)
    words = nearest.view(torch.int16)
    other = (words + torch.where(nearest >= 0, step, -step).to(torch.int16)).view(dtype)
    is_exact = values == nearest.float()
    pair = torch.stack([nearest.double(), torch.where(is_exact, nearest, other).double()])
    return values, pair.amin(0), pair.amax(0)


@pytest.mark.parametrize("dtype", [BF16, HALF])
def test_rounding_at_random_gives_the_neighbours_with_the_value_as_their_mean(dtype):
    values, low, high = values_between(dtype)
    assert ((low <= values) & (values <= high)).all()
    generator, count = torch.Generator().manual_seed(6), 4000
    drawn = torch.stack([rounded_at_random(values, dtype, generator) for _ in range(count)]).double()
    assert ((drawn == low) | (drawn == high)).all()
    assert torch.equal(drawn[:, :3], values[:3].double().expand(count, 3))
    share = torch.where(high > low, (values.double() - low) / (high - low), 0.0)
    standard_error = (high - low) * (share * (1 - share) / count).sqrt()
    assert ((drawn.mean(0) - values).abs() <= 4 * standard_error + 1e-12).all()
    assert torch.equal(drawn[0].float(), rounded_at_random(values, dtype, torch.Generator().manual_seed(6)).float())


def test_what_is_too_large_or_no_number_is_rounded_as_torch_does():
    values = torch.tensor([math.inf, -math.inf, math.nan, 3.4e38, -65504.0, 65519.0, 1e6])
    for dtype in (BF16, HALF):
        rounded = rounded_at_random(values, dtype, torch.Generator().manual_seed(0))
        special = ~values.to(dtype).isfinite()
        assert torch.equal(rounded[special].nan_to_num(7), values.to(dtype)[special].nan_to_num(7))
        assert rounded[~special].isfinite().all()


def test_the_mean_of_a_training_over_seeds_is_the_exact_sum():
    """Updates of a twentieth of the last place, which plain bfloat16 loses all of."""
    ends = []
    for seed in range(40):
        weight = torch.nn.Parameter(torch.full((50,), 1.5, dtype=BF16))
        optimizer = lb.remedies.stochastic_rounding(torch.optim.SGD([weight], lr=2.0**-7 / 20), seed)
        run(optimizer, weight, [torch.ones(50)] * 40)
        ends.append(weight.detach().double())
    ends = torch.cat(ends)
    standard_error = ends.std() / math.sqrt(len(ends))
    assert abs(ends.mean() - (1.5 - 40 * 2.0**-7 / 20)) < 4 * standard_error
    assert len(set(ends.tolist())) > 2


def test_a_negative_seed_and_both_together_are_refused():
    with pytest.raises(LastbitError, match="seed = -1: write a whole number from 0"):
        lb.remedies.stochastic_rounding(torch.optim.SGD([start()], lr=0.1), -1)
    with pytest.raises(LastbitError, match="exclude each other"):
        parse_treatment("compensated+stochastic_rounding")


@pytest.mark.parametrize("text", ["compensated", "stochastic_rounding"])
def test_weights_of_many_bits_are_left_alone_which_is_said(text):
    (remedy,) = parse_treatment(text)
    said = remedy.on_program(pytest.fail)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with pytest.warns(UserWarning, match="the weights have more bits than bfloat16 and half"):
        remedy.on_optimizer(optimizer, None)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    remedy.on_made(optimizer)
    run(optimizer, weight, gradients(1, size=2))
    assert said() == f"stepped no weights of few bits: {text} changed nothing"
    low = start()
    optimizer = torch.optim.SGD([low], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remedy.on_made(optimizer)
    run(optimizer, low, gradients(1))
    assert said() == ""
