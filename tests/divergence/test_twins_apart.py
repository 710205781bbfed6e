"""Twins that part by something else than rounding, or cannot: they are warned, or refused in a line."""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lastbit.divergence import Twins
from lastbit.errors import LastbitError, LastbitTypeError

X = torch.ones(4, 3)


class Draws(nn.Module):
    """Draws in its forward pass, in a way that no module's class tells."""

    def __init__(self, draw):
        super().__init__()
        self.layer, self.draw = nn.Linear(3, 2), draw

    def forward(self, x):
        return self.draw(self.layer(x), self.training)


def net(*layers):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), *layers, nn.Linear(3, 2))


def dropout_in_attention():
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=True)


DRAWING = {
    "dropout": (lambda: net(nn.ReLU(), nn.Dropout(0.5)), r" \(2\)"),
    "alpha dropout": (lambda: net(nn.AlphaDropout(0.5)), r" \(1\)"),
    "rrelu": (lambda: net(nn.RReLU()), r" \(1\)"),
    "functional": (lambda: Draws(lambda x, training: functional.dropout(x, 0.5, training)), ""),
    "noise": (lambda: Draws(lambda x, training: x + torch.randn_like(x)), ""),
    "python": (lambda: Draws(lambda x, training: x * random.random()), ""),
    "numpy": (lambda: Draws(lambda x, training: x * float(np.random.rand())), ""),  # noqa: NPY002
}


def step(twins, one, other, x=X, before=lambda: None):
    with twins.step():
        for network in (one, other):
            before()
            network(x).sum().backward()


@pytest.mark.parametrize("kind", DRAWING)
def test_twins_that_draw_their_own_numbers_are_warned_once(kind):
    make, named = DRAWING[kind]
    one = make()
    other = copy.deepcopy(one)
    twins = Twins(one, other)
    with pytest.warns(UserWarning, match=rf"forward passes{named}, and not the same ones: they part by chance") as said:
        step(twins, one, other)
    assert said[0].filename == __file__
    step(twins, one, other)  # a second warning would be an error here


def test_attention_that_drops_is_named():
    one = dropout_in_attention()
    other = copy.deepcopy(one)
    twins = Twins(one, other)
    with pytest.warns(UserWarning, match="self_attn, dropout, dropout1 and 1 more"):
        step(twins, one, other, torch.ones(2, 3, 4))


def test_a_part_that_is_called_by_itself_is_seen():
    one = net(nn.Dropout(0.5))
    other = copy.deepcopy(one)
    with pytest.warns(UserWarning, match="part by chance"):
        step(Twins(one, other), one[1], other[1], X.requires_grad_())


def test_twins_without_chance_are_not_warned_and_no_generator_moves():
    for make in (
        lambda: net(nn.ReLU(), nn.BatchNorm1d(3)),
        lambda: net(nn.Dropout(0.5)).eval(),
        lambda: net(nn.Dropout(0.0)),
    ):
        one = make()
        other = copy.deepcopy(one)
        before = torch.get_rng_state()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            step(Twins(one, other), one, other)
        assert torch.equal(torch.get_rng_state(), before)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in one.modules())


def test_the_same_masks_are_no_chance():
    one = net(nn.Dropout(0.5))
    other = copy.deepcopy(one)
    twins = Twins(one, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(twins, one, other, before=lambda: torch.manual_seed(7))
    assert twins.history().relative_l2 == (0.0,)


def test_twins_that_are_one_network_are_refused():
    one = net()
    with pytest.raises(LastbitError, match="the twins are the same network"):
        Twins(one, one)
    with pytest.raises(LastbitError, match="the twins are the same network"):
        Twins(one, nn.DataParallel(one))
    sharing = copy.deepcopy(one)
    sharing[0] = one[0]
    with pytest.raises(LastbitError, match=r"share parameters, such as '0.weight'.*copy.deepcopy"):
        Twins(one, sharing)
    one[0].requires_grad_(False)
    Twins(one, sharing)  # a frozen part is the same in both whatever happens


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, as it imports its compiler
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_a_compiled_twin_and_no_twin_are_refused():
    with pytest.raises(LastbitError, match="a twin is compiled"):
        Twins(net(), torch.compile(net()))
    with pytest.raises(LastbitTypeError, match=r"twins are two networks, torch.nn.Modules; got str"):
        Twins(net(), "net")


def test_a_wrapper_changes_nothing_of_what_is_measured():
    """Against the same training without the wrapper."""
    found = []
    for wrap in (lambda network: network, nn.DataParallel):
        one = net(nn.ReLU())
        other = copy.deepcopy(one)
        run = wrap(other)
        twins = Twins(one, run)
        with twins.step():
            one(X)
            run(X)
            with torch.no_grad():
                other[0].weight[0, 0] += 0.25
        found.append(twins.history())
    assert found[0] == found[1]
    assert found[0].norms["0.weight"] == pytest.approx((0.25,))


def test_float64_beside_float32_and_a_frozen_layer():
    one = net()
    other = copy.deepcopy(one).double()
    one[0].requires_grad_(False)
    twins = Twins(one, other)
    with twins.step(), torch.no_grad():
        other[1].weight.mul_(1 + 2**-40)
    norm = float(one[1].weight.detach().double().norm())
    assert twins.history().norms["1.weight"][0] == pytest.approx(norm * 2**-40, rel=1e-3)
    assert twins.history().norms["0.weight"] == (0.0,)


def test_samples_in_another_order_are_noticed_and_others_are_not():
    torch.manual_seed(0)
    one, x = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)), torch.randn(32, 8)
    twins = Twins(one, other := copy.deepcopy(one))
    with pytest.warns(UserWarning, match=r"same samples in different orders.*flipped are not"):
        step(twins, lambda x: one(x), lambda x: other(x.flip(0)), x)
    apart = Twins(one, other)
    with torch.no_grad():
        other[0].weight.neg_()
    step(apart, one, other, x)  # half of all activations flip, and that is what happened
    assert apart.history().flips[0] > 10
