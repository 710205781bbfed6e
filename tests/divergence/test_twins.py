"""Twins whose distances and flips are known in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lastbit.divergence import Jump, Twins, leapt_most, relative_l2


def pair(*weights):
    """Two networks relu(w x) with these weights."""
    networks = [nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU()) for _ in weights]
    for network, weight in zip(networks, weights, strict=True):
        nn.init.constant_(network[0].weight, weight)
    return networks


def shift(network, by):
    with torch.no_grad():
        network[0].weight += by


def test_records_distances_and_flips_of_every_step():
    one, other = pair(1.0, 1.0)
    twins, x = Twins(one, other), torch.tensor([[1.0], [-1.0], [2.0]])
    for by in (2**-20, 1.0, -4.0):
        with twins.step():
            one(x)
            other(x)
            shift(other, by)
    history = twins.history()
    assert history.steps == (1, 2, 3)
    assert history.norms == {"0.weight": (2**-20, 1 + 2**-20, 3 - 2**-20)}
    assert history.relative_l2 == history.norms["0.weight"]
    assert history.rel_l1[2] == pytest.approx(2 * 3 / (1 + 2), rel=1e-5)
    assert (history.activations, history.sides, history.flips) == (3, {"1": (0, 0, 0)}, (0, 0, 0))
    with twins.step():
        one(x)
        other(x)
    assert twins.history().sides == {"1": (0, 0, 0, 3)}  # the sign of the weight, and so every activation's


def test_amplification_is_the_ratio_of_successive_differences():
    one, other = pair(1.0, 1.0)
    twins = Twins(one, other)
    for by in (0.0, 0.5, 0.5, math.inf, 0.0):
        with twins.step():
            shift(other, by)
    np.testing.assert_array_equal(twins.history().amplification(), [[math.nan, 2.0, math.nan, math.nan]])


def test_a_jump_has_the_tensor_that_leapt_most_and_the_flips_of_its_step():
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)) for _ in range(2))
    other.load_state_dict(one.state_dict())
    twins = Twins(one, other)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 1e-6
    for step in range(1, 8):
        with twins.step():
            one(torch.ones(4, 2))
            other(torch.ones(4, 2) * (-1 if step == 4 else 1))
            with torch.no_grad():
                other[0].weight += 1e-2 if step == 4 else 0
                other[2].bias += 1e-4 if step == 4 else 0
    history = twins.history()
    (jump,) = history.growth().jumps
    assert (jump.before, jump.step) == (3, 4)
    origin = history.origin(jump)
    assert origin.tensor == "0.weight"
    flipped = ((one[0](torch.ones(4, 2)) > 0) != (one[0](-torch.ones(4, 2)) > 0)).sum()
    assert origin.flips == {"1": int(flipped)}
    assert history.origin(Jump(1, 2, 1.0)).flips == {}


def test_the_distance_is_relative_to_the_first_twin():
    one, other = pair(2.0, 3.0)
    twins = Twins(one, other)
    with twins.step():
        pass
    history = twins.history()
    assert history.relative_l2[0] == 0.5 == relative_l2({"w": other[0].weight}, {"w": one[0].weight}).value
    assert history.growth().segments == ()
    assert (history.flips, history.activations) == ((0,), 0)


def test_twins_have_the_same_parameters():
    with pytest.raises(ValueError, match="only in one of them"):
        Twins(nn.Linear(1, 1), nn.Linear(1, 1, bias=False))


def test_who_leapt_most():
    assert leapt_most({"a": 1.0, "b": 1e-9, "c": 0.0}, {"a": 2.0, "b": 1e-7, "c": 5.0}) == "b"
    assert leapt_most({"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 3.0}) == "b"
    assert leapt_most({"a": 1.0}, {"a": math.inf}) is None
    assert leapt_most({"a": 0.0}, {"a": 0.0}) is None


def test_a_network_may_be_dropped_and_another_made_before_a_jump():
    assert leapt_most({"gone": 1e-9, "stays": 1e-9}, {"stays": 1e-8, "new": 1.0}) == "stays"
    assert leapt_most({"gone": 1e-9}, {"new": 1.0, "newer": 2.0}) == "newer"
