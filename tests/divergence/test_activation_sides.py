"""Sides of kinks against the inputs recomputed by hand, and a model that must not notice."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from lastbit.divergence import activation_sides, differing_sides
from lastbit.divergence.activation_sides import kept_sides
from lastbit.errors import LastbitError


class Every(nn.Module):
    """Each kind of activation with kinks, as modules, functions, methods and in place."""

    def __init__(self):
        super().__init__()
        self.relu, self.leaky, self.prelu = nn.ReLU(), nn.LeakyReLU(), nn.PReLU()
        self.inner = nn.Sequential(nn.ReLU(inplace=True), nn.Identity())
        self.six, self.smooth = nn.ReLU6(), nn.SiLU()

    def forward(self, x):
        own = functional.relu(x) + torch.relu(x - 1) + (x - 2).relu() + (x + 1).clone().relu_()
        own = own + functional.relu(input=x - 3, inplace=False) + functional.relu6(x)
        return (
            own + self.smooth(x) + self.relu(x) + self.leaky(-x) + self.prelu(x + 2) + self.inner(x * 1) + self.six(x)
        )


def inputs():
    return torch.linspace(-9, 9, 37)  # every half


def test_sees_every_kind_once_and_names_the_module_that_called_it():
    model, x = Every(), inputs()
    with activation_sides(model) as sides:
        model(x)
    assert {name: len(seen) for name, seen in sides.items()} == {
        "": 6, "relu": 1, "leaky": 1, "prelu": 1, "inner.0": 1, "six": 1
    }  # fmt: skip
    for found, z in zip(sides[""], (x, x - 1, x - 2, x + 1, x - 3), strict=False):
        assert torch.equal(found, z > 0)
    for found in (sides[""][5], sides["six"][0]):
        assert torch.equal(found, (x > 0).to(torch.uint8) + (x >= 6).to(torch.uint8))
    for name, z in (("relu", x), ("leaky", -x), ("prelu", x + 2), ("inner.0", x)):
        assert torch.equal(sides[name][0], z > 0)


def test_hardtanh_has_its_own_kinks():
    for model, low, high in ((nn.Hardtanh(), -1, 1), (nn.Hardtanh(-2, 3), -2, 3)):
        with activation_sides(model) as sides:
            model(inputs())
        assert torch.equal(sides[""][0], (inputs() > low).to(torch.uint8) + (inputs() >= high).to(torch.uint8))


def test_kept_sides_change_nothing_where_they_are_the_inputs_own():
    for model in (Every(), nn.Hardtanh(-2, 3), nn.PReLU(37), nn.LeakyReLU(0.3, inplace=True)):
        results = []
        for keep in (False, True):
            x = inputs().repeat(2, 1).requires_grad_()
            with activation_sides(model) as sides:
                out = model(x * 1)
            if keep:
                with kept_sides(model, sides):
                    out = model(x * 1)
            out.square().sum().backward()
            results.append((out.detach(), x.grad))
        for plain, kept in zip(*results, strict=True):
            torch.testing.assert_close(kept, plain, rtol=0, atol=0)


def test_an_activation_takes_the_branch_of_its_kept_side():
    x, model = torch.tensor([-1.0, 1.0, 7.0]), nn.Sequential(nn.ReLU(), nn.LeakyReLU(0.5), nn.ReLU6())
    sides = {"0": [torch.tensor([True, False, True])], "1": [torch.tensor([False, True, False])]}
    with kept_sides(model, {**sides, "2": [torch.tensor([1, 2, 0])]}):
        assert model[0](x).tolist() == [-1.0, 0.0, 7.0]
        assert model[1](x).tolist() == [-0.5, 1.0, 3.5]
        assert model[2](x).tolist() == [-1.0, 6.0, 0.0]
    with kept_sides(model, sides), pytest.raises(LastbitError, match=r"2: it runs an activation of shape \(3,\)"):
        model(x)
    with kept_sides(model, sides), pytest.raises(LastbitError, match=r"0: it runs an activation of shape \(2,\)"):
        model(x[:2])


def test_the_model_computes_and_learns_the_same_and_keeps_no_hook():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(7, 2))
    other, x = copy.deepcopy(model), torch.randn(8, 5)
    results = []
    for network, watched in ((model, False), (other, True)):
        torch.manual_seed(1)
        if watched:
            with activation_sides(network):
                out = network(x)
        else:
            out = network(x)
        out.square().sum().backward()
        results.append([out, *(p.grad for p in network.parameters()), *network.buffers(), torch.get_rng_state()])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in other.modules())


def test_an_error_of_the_model_leaves_no_hook_and_no_module_running():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with activation_sides(model) as sides:
        with pytest.raises(RuntimeError):
            model(torch.ones(3))
        torch.relu(torch.ones(3))
        model(torch.ones(1, 2))
    assert {name: len(seen) for name, seen in sides.items()} == {"1": 1}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_two_models_side_by_side_are_told_apart():
    one, other, x = nn.ReLU(), nn.ReLU(), torch.tensor([-1.0, 0.0, 1.0, 2.0])
    with activation_sides(one) as sides, activation_sides(other) as others:
        one(x)
        other(x - 1.5)
        other(x)
    assert [len(sides[""]), len(others[""])] == [1, 2]
    assert torch.equal(others[""][0], torch.tensor([False, False, False, True]))


def test_counts_differences_module_by_module():
    one = {"a": [torch.tensor([True, False]), torch.tensor([True])], "b": [torch.tensor([0, 1, 2])]}
    other = {"a": [torch.tensor([False, True]), torch.tensor([True])], "b": [torch.tensor([0, 1, 1])]}
    assert differing_sides(one, other) == {"a": 2, "b": 1}
    assert differing_sides({}, {}) == {}


@pytest.mark.parametrize("other", [{}, {"a": [torch.ones(2)]}, {"a": [torch.ones(3), torch.ones(3)]}])
def test_refuses_twins_that_did_different_things(other):
    with pytest.raises(ValueError, match=r"same activations.*got a: \[\(3,\)\]"):
        differing_sides({"a": [torch.ones(3)]}, other)
