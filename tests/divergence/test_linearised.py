"""Linearised training against matrix powers, dense Hessians, and twins near and far."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

from lastbit.divergence import Linearised, Twins
from lastbit.divergence.activation_sides import activation_sides
from lastbit.divergence.derivatives import Derivatives
from lastbit.errors import LastbitError
from lastbit.noise import Scale, perturb
from lastbit.storage.files import to_json

STEPS = 20


def network(activation, dtype=torch.float64):
    torch.manual_seed(3)
    first = nn.Linear(4, 16, bias=False)  # a bias before batch norm has no gradient, and Adam would step its rounding
    layers = [first, nn.BatchNorm1d(16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 3)]
    return nn.Sequential(*layers).to(dtype)


def batches(dtype=torch.float64, steps=STEPS, size=32):
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        yield torch.randn(size, 4, generator=generator).to(dtype), torch.randint(3, (size,), generator=generator)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01)


def moved(model, size):
    """A twin that begins a little apart."""
    other, generator = copy.deepcopy(model), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in other.parameters():
            weight += size * torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
    return other


def train(model, optimizer, batch, loss=cross_entropy, prepare=None):
    optimizer.zero_grad()
    loss(model(batch[0]), batch[1]).backward()
    if prepare is not None:
        prepare(list(model.parameters()))
    optimizer.step()


def followed(one, other, make=sgd, *, data=None, noises=(), prepare=None, told=None, loss=cross_entropy):
    """Train twins, and give what was measured and what was predicted."""
    optimizers = [make(one), make(other)]
    optimizers = [perturb(*pair) for pair in zip(optimizers, noises, strict=True)] if noises else optimizers
    twins = Twins(one, other)
    linear = Linearised(one, other, loss, *optimizers, prepare=told)
    for batch in data or batches(next(one.parameters()).dtype):
        with twins.step(), linear.step(*batch):
            for model, optimizer in zip((one, other), optimizers, strict=True):
                train(model, optimizer, batch, loss, prepare)
    return twins.history(), linear.growth()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_on_a_quadratic_any_difference_is_predicted_by_powers_of_a_matrix(momentum):
    torch.manual_seed(0)
    model = nn.Linear(5, 1, bias=False).double()
    other, inputs = moved(model, 1.0), torch.randn(8, 5, dtype=torch.float64)
    start = (other.weight - model.weight).detach().numpy().ravel()
    lr, hessian, unit = 0.05, 2 * (inputs.T @ inputs).numpy() / len(inputs), np.eye(5)
    data = [(inputs, torch.randn(8, 1, dtype=torch.float64))] * STEPS
    make = lambda net: torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum)  # noqa: E731
    history, linear = followed(model, other, make, data=data, loss=mse_loss)
    step = np.block([[unit - lr * hessian, -lr * momentum * unit], [hessian, momentum * unit]])
    for place in range(STEPS):
        expected = (np.linalg.matrix_power(step, place + 1) @ np.concatenate([start, 0 * start]))[:5]
        size = history.norms["weight"][place] / history.relative_l2[place]  # ‖w‖ of the first twin
        assert linear.predicted[place] * size == pytest.approx(np.linalg.norm(expected), rel=1e-10)
    assert max(linear.gaps) < 1e-10
    assert linear.parting() is None
    assert linear.amplified == pytest.approx(linear.predicted, rel=1e-10)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
def test_products_are_those_of_the_dense_hessian_with_batch_statistics(activation):
    model = network(activation)
    names, (inputs, targets) = list(dict(model.named_parameters())), next(batches())
    with activation_sides(model) as sides:
        model(inputs)
    weights = [weight.detach() for weight in model.parameters()]
    vector = [torch.randn_like(weight) for weight in weights]
    derivatives = Derivatives(model, cross_entropy, names)
    gradients, [product] = derivatives.at(weights, inputs, targets, sides=sides, vectors=[vector])
    shapes = [weight.shape for weight in weights]

    def loss(flat):
        parts = flat.split([shape.numel() for shape in shapes])
        state = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return cross_entropy(functional_call(copy.deepcopy(model), state, (inputs,)), targets)

    flat = torch.cat([weight.flatten() for weight in weights])
    dense = torch.autograd.functional.hessian(loss, flat)
    expected = dense @ torch.cat([part.flatten() for part in vector])
    torch.testing.assert_close(torch.cat([part.flatten() for part in product]), expected, rtol=1e-10, atol=1e-12)
    slope = torch.autograd.functional.jacobian(loss, flat)
    torch.testing.assert_close(torch.cat([part.flatten() for part in gradients]), slope, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("make", [sgd, adamw])
def test_of_a_smooth_network_the_gap_shrinks_with_the_difference(make):
    gaps = []
    for size in (1e-5, 1e-7):
        model = network(nn.SiLU)
        _, linear = followed(model, moved(model, size), make, data=batches(steps=8))
        gaps.append(linear.gaps[-1])
    assert gaps[0] < 0.1
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.1)


def test_twins_with_kinks_leave_the_prediction_where_the_first_activation_flips():
    model = network(nn.ReLU)
    history, linear = followed(model, moved(model, 1e-5), data=batches(size=256))
    first = next(place for place, flips in enumerate(history.flips) if flips)
    assert 1 <= first < STEPS - 1
    before = max(linear.gaps[:first])
    assert before < 1e-3 < linear.gaps[first]
    assert linear.gaps[first] > 10 * before
    parting = linear.parting(level=10 * before)
    assert parting.step == history.steps[first]
    assert parting.gap == linear.gaps[first]
    norms = {name: values[first] for name, values in linear.gap_norms.items()}
    assert parting.tensor == max(norms, key=norms.get)
    assert parting.share == pytest.approx(max(norms.values()) ** 2 / sum(norm**2 for norm in norms.values()))
    assert json.loads(to_json(linear.as_json()))["parting"] is None or linear.parting().step >= parting.step


@pytest.mark.parametrize("make", [sgd, adamw])
def test_all_rounding_of_real_twins_in_float32_is_accounted_for(make):
    model = network(nn.SiLU, torch.float32)
    history, linear = followed(model, copy.deepcopy(model), make, noises=(Scale(1), Scale(3)))
    assert linear.measured == pytest.approx(history.relative_l2, rel=1e-6)
    assert linear.measured[-1] > linear.measured[0] > 0
    assert max(linear.gaps) < 1e-4
    assert linear.gaps[0] == pytest.approx(0, abs=1e-7)
    assert all(0 < own <= 10 * total for own, total in zip(linear.of_updates, linear.noise, strict=True))
    assert linear.amplified[0] == linear.predicted[0]
    assert linear.amplification == linear.amplified[-1] / linear.amplified[0]
    assert len(linear.growth().segments) >= 1


def test_flips_are_no_rounding_in_float32():
    model = network(nn.ReLU, torch.float32)
    data = list(batches(torch.float32, steps=30))
    history, linear = followed(model, copy.deepcopy(model), data=data, noises=(Scale(1), Scale(3)))
    first = next((place for place, flips in enumerate(history.flips) if flips), None)
    assert max(linear.gaps[:first]) < 1e-3
    if first is not None:  # which depends on the processor's last bits
        assert linear.gaps[first] > 1e-3


def test_what_is_amplified_begins_with_the_first_difference():
    models = [network(nn.SiLU) for _ in range(2)]
    optimizers = [sgd(model) for model in models]
    taken = []

    def nudge(*_):
        taken.append(1)
        if len(taken) == 2:
            with torch.no_grad():
                models[1][3].weight += 1e-8

    optimizers[1].register_step_post_hook(nudge)  # rounding that begins with the second step
    linear = Linearised(*models, cross_entropy, *optimizers)
    for batch in batches(steps=4):
        with linear.step(*batch):
            for model, optimizer in zip(models, optimizers, strict=True):
                train(model, optimizer, batch)
    found = linear.growth()
    assert found.amplified[0] == found.measured[0] == 0 < found.amplified[1]
    assert found.amplified == pytest.approx(found.measured, rel=1e-6)
    assert found.amplification == found.amplified[-1] / found.amplified[1]
    assert found.parting() is None


def test_watching_changes_nothing_of_the_training():
    watched = [network(nn.ReLU, torch.float32) for _ in range(2)]
    followed(*watched, noises=(Scale(1), Scale(3)))
    for seen, k in zip(watched, (1, 3), strict=True):
        alone = network(nn.ReLU, torch.float32)
        optimizer = perturb(sgd(alone), Scale(k))
        for batch in batches(torch.float32):
            train(alone, optimizer, batch)
        assert all(torch.equal(value, alone.state_dict()[name]) for name, value in seen.state_dict().items())
        assert not sgd(seen)._optimizer_step_pre_hooks


def clipped(weights):
    nn.utils.clip_grad_norm_(weights, 0.1)


def test_clipping_is_part_of_the_recursion_where_it_is_told():
    model = network(nn.SiLU)
    _, linear = followed(model, moved(model, 1e-7), prepare=clipped, told=clipped)
    assert max(linear.gaps) < 1e-4
    with pytest.raises(LastbitError, match="at step 1 the gradient that is stepped is not that of the loss"):
        followed(network(nn.SiLU), network(nn.SiLU), prepare=clipped)


def step_once(one, other, watch, *, loss=cross_entropy, steps=1, make=sgd):
    optimizers = [make(one), make(other)]
    linear = Linearised(one, other, loss, *optimizers)
    batch, another = batches(steps=2)
    with linear.step(*(another if watch == "another batch" else batch)):
        for model, optimizer in zip((one, other), optimizers, strict=True):
            for _ in range(steps):
                train(model, optimizer, batch, loss)


def test_what_has_no_linear_recursion_is_refused():
    with pytest.raises(LastbitError, match="gradient that is stepped is not that of the loss on this batch"):
        step_once(network(nn.ReLU), network(nn.ReLU), "another batch")
    with pytest.raises(LastbitError, match="took 2 steps in the block"):
        step_once(network(nn.ReLU), network(nn.ReLU), "", steps=2)
    dropping = [nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).double() for _ in range(2)]
    with pytest.raises(LastbitError, match="draws random numbers"):
        step_once(*dropping, "")
    model = network(nn.ReLU)
    with pytest.raises(LastbitError, match="step different weights"):
        step_once(model, copy.deepcopy(model), "", make=lambda net: sgd(net if net is model else net[0]))
    with pytest.raises(LastbitError, match="weights that its network does not hold"):
        Linearised(model, copy.deepcopy(model), cross_entropy, sgd(network(nn.ReLU)), sgd(model))


def test_weights_that_do_not_train_stay_out_of_it():
    models = [network(nn.SiLU) for _ in range(2)]
    for model in models:
        model[0].requires_grad_(requires_grad=False)
    other = moved(models[0], 0.0)
    with torch.no_grad():
        other[3].weight += 1e-7
    _, linear = followed(models[0], other)
    assert max(linear.gaps) < 1e-4
