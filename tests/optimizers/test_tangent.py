"""The derivative of a step against closed forms, and against differences of the step itself."""

import numpy as np
import pytest
import torch

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise import Scale, perturb
from lastbit.optimizers.tangent import WEIGHT, added, difference, position_of, pushed, stepped, stepping_family

SHAPE = (4, 3)
OPTIMIZERS = {
    "gradient descent": lambda weights: torch.optim.SGD(weights, lr=0.1),
    "heavy ball": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
    "nesterov": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda weights: torch.optim.Adam(weights, lr=0.01, amsgrad=True),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1),
    "nadam": lambda weights: torch.optim.NAdam(weights, lr=0.01),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda weights: torch.optim.Adagrad(weights, lr=0.1),
}


def drawn(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def walked(make, *, shift=0.0, steps=3):
    """The positions of a training whose start and gradients are shifted along fixed directions, and its optimizer."""
    weight = torch.nn.Parameter(drawn(0) + shift * drawn(1))
    optimizer = make([weight])
    positions = [position_of(optimizer)]
    for step in range(steps):
        weight.grad = drawn(10 + step) + shift * drawn(20 + step)
        optimizer.step()
        positions.append(position_of(optimizer))
    return optimizer, positions


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_difference_is_pushed_as_two_trainings_part(name):
    make, short = OPTIMIZERS[name], 1e-6
    optimizer, positions = walked(make)
    change = ({WEIGHT: drawn(1)},)
    for step in range(3):
        slopes = [drawn(20 + step)]
        change = pushed(*stepping_family(optimizer), positions[step], [drawn(10 + step)], by=change, slopes=slopes)
    (_, ahead), (_, behind) = (walked(make, shift=shift) for shift in (short, -short))
    [expected] = difference(ahead[-1], behind[-1])
    assert expected.keys() == change[0].keys() > {WEIGHT} - ({WEIGHT} if name == "gradient descent" else set())
    for entry, value in expected.items():
        torch.testing.assert_close(change[0][entry], value / (2 * short), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_pushed_by_its_companion_matrix(nesterov):
    lr, momentum, curvature, steps = 0.3, 0.8, 1.7, 12
    make = lambda weights: torch.optim.SGD(weights, lr=lr, momentum=momentum, nesterov=nesterov)  # noqa: E731
    optimizer, positions = walked(make, steps=1)
    change = ({WEIGHT: drawn(1), "momentum_buffer": drawn(2)},)
    # b' = m b + c w, then w' = w - h b', or w' = w - h (c w + m b') with Nesterov's look-ahead.
    buffer = np.array([curvature, momentum])
    along = np.array([curvature, 0]) + momentum * buffer if nesterov else buffer
    matrix = np.linalg.matrix_power(np.array([np.array([1, 0]) - lr * along, buffer]), steps)
    expected = matrix @ np.stack([drawn(1).flatten(), drawn(2).flatten()])
    for _ in range(steps):
        slopes = [curvature * change[0][WEIGHT]]
        change = pushed(*stepping_family(optimizer), positions[1], [drawn(10)], by=change, slopes=slopes)
    np.testing.assert_allclose(change[0][WEIGHT].flatten(), expected[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(change[0]["momentum_buffer"].flatten(), expected[1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_exact_step_is_the_optimizers_own_in_float64(name):
    optimizer, positions = walked(OPTIMIZERS[name])
    perturbed = perturb(optimizer, Scale(3))
    for step in range(3):
        found = stepped(*stepping_family(perturbed), positions[step], [drawn(10 + step)])
        assert found.entries[0].keys() == positions[step + 1].entries[0].keys()
        for entry, value in found.entries[0].items():
            torch.testing.assert_close(value, positions[step + 1].entries[0][entry], rtol=1e-14, atol=0)
        assert {k: float(v) for k, v in found.others[0].items()} == {
            k: float(v) for k, v in positions[step + 1].others[0].items()
        }


def test_neither_step_touches_the_optimizer():
    optimizer, positions = walked(OPTIMIZERS["adam"])
    family = stepping_family(optimizer)
    stepped(*family, positions[0], [drawn(10)])
    pushed(*family, positions[0], [drawn(10)], by=({WEIGHT: drawn(1)},), slopes=[drawn(2)])
    [zero] = difference(position_of(optimizer), positions[-1])
    assert not any(bool(value.any()) for value in zero.values())


def test_a_weight_whose_gradient_was_always_zero_keeps_its_difference():
    weight = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    gradients, by = [torch.tensor([0.0, 1.0]).double()], ({WEIGHT: torch.tensor([0.25, 0.0]).double()},)
    [change] = pushed(
        *stepping_family(optimizer), position_of(optimizer), gradients, by=by, slopes=[torch.zeros(2).double()]
    )
    assert change[WEIGHT].tolist() == [0.25, 0.0]


def test_a_parameter_without_a_gradient_is_not_stepped():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = torch.optim.SGD(weights, lr=0.5, weight_decay=1.0)
    gradients, ones = [None, torch.ones(2).double()], torch.ones(2).double()
    family, at = stepping_family(optimizer), position_of(optimizer)
    assert [weight.tolist() for weight in stepped(*family, at, gradients).weights] == [[1.0, 1.0], [0.0, 0.0]]
    change = pushed(*family, at, gradients, by=({WEIGHT: ones}, {WEIGHT: ones}), slopes=[None, ones])
    assert [each[WEIGHT].tolist() for each in change] == [[1.0, 1.0], [0.0, 0.0]]


def test_differences_with_other_entries_are_added_from_zero():
    one, other = torch.tensor([1.0]), torch.tensor([2.0])
    [total] = added(({"a": one},), ({"a": other, "b": other},), factor=-1.0)
    assert {name: value.item() for name, value in total.items()} == {"a": -1.0, "b": -2.0}
    [total] = added(({"a": one, "b": one},), ({"a": other},))
    assert {name: value.item() for name, value in total.items()} == {"a": 3.0, "b": 1.0}


def test_steps_without_a_known_derivative_are_refused():
    weight = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(LastbitTypeError, match=r"step of Rprop is not known; allowed are torch.optim's Adagrad"):
        stepping_family(torch.optim.Rprop([weight]))
    with pytest.raises(LastbitError, match="complex"):
        position_of(torch.optim.SGD([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))], lr=0.1))
