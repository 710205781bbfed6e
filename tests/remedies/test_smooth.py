"""Kinked activations are replaced wherever they are called, by functions whose values and slopes are known."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import lastbit as lb
from lastbit.remedies.activations import ROUNDED, Rounded, RoundedMaxPool2d, hardtanh, leaky_relu, relu

X = torch.linspace(-30, 30, 2001, dtype=torch.float64)
CLOSED = {
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "smelu": lambda x: np.where(np.abs(x) <= 1, (x + 1) ** 2 / 4, np.maximum(x, 0)),
    "softplus": lambda x: np.logaddexp(x, 0),
}
SLOPES = {
    "silu": lambda x: special.expit(x) * (1 + x * (1 - special.expit(x))),
    "gelu": lambda x: special.ndtr(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "smelu": lambda x: np.clip((x + 1) / 2, 0, 1),
    "softplus": special.expit,
}


def closed(formula, x):
    return torch.from_numpy(formula(x.numpy()))


def differentiated(function, x):
    x = x.clone().requires_grad_()
    y = function(x)
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]


@pytest.mark.parametrize("width", [1.0, 0.25, 3.0])
@pytest.mark.parametrize("name", ROUNDED)
def test_values_and_slopes_are_those_of_the_closed_forms(name, width):
    y, slope = differentiated(lambda x: relu().rounded(x, name, width), X)
    # torch's softplus is the identity above 20, which is off by 2e-9.
    torch.testing.assert_close(y, width * closed(CLOSED[name], X / width), rtol=0, atol=1e-8 * width)
    torch.testing.assert_close(slope, closed(SLOPES[name], X / width), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize(
    ("activation", "kinked"),
    [
        (relu(), functional.relu),
        (leaky_relu(0.2), lambda x: functional.leaky_relu(x, 0.2)),
        (hardtanh(-1.0, 2.0), lambda x: functional.hardtanh(x, -1.0, 2.0)),
        (hardtanh(0.0, 6.0), functional.relu6),
    ],
)
def test_a_small_width_gives_the_kinked_activation(activation, kinked, name):
    torch.testing.assert_close(activation.rounded(X, name, 1e-6), kinked(X), rtol=0, atol=3e-6)


@pytest.mark.parametrize("name", ["silu", "gelu", "smelu"])
def test_far_from_the_kink_nothing_changes(name):
    far = X[X.abs() > 25]
    torch.testing.assert_close(relu().rounded(far, name, 0.5), far.clamp(min=0), rtol=0, atol=1e-15)


class Calls(nn.Module):
    """Calls kinked functions in every way that torch offers, one after another."""

    WAYS = (
        functional.relu,
        torch.relu,
        lambda x: x.relu(),
        lambda x: functional.relu(x, inplace=True),
        lambda x: functional.relu(input=x),
        lambda x: (x.relu_(), x)[1],  # drops what the call returns
        lambda x: (torch.relu_(x), x)[1],
        lambda x: functional.leaky_relu(x, 0.3),
        lambda x: functional.leaky_relu(x, negative_slope=0.3),
        lambda x: functional.leaky_relu(x),
        lambda x: functional.relu6(x),
        lambda x: functional.hardtanh(x, -2.0, 0.5),
        lambda x: functional.hardtanh(x, max_val=0.5),
    )
    MEANT = (*(relu(),) * 7, *(leaky_relu(0.3),) * 2, leaky_relu(0.01), hardtanh(0.0, 6.0), hardtanh(-2.0, 0.5))
    MEANT = (*MEANT, hardtanh(-1.0, 0.5))

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x):
        return self.WAYS[self.way](x * 1)


@pytest.mark.parametrize("way", range(len(Calls.WAYS)))
def test_functions_are_replaced_while_the_model_runs_and_only_then(way):
    model, meant = Calls(way), Calls.MEANT[way]
    kinked = model(X)
    assert lb.remedies.smooth(model, "gelu", width=0.5) is model
    y, slope = differentiated(model, X)
    expected, expected_slope = differentiated(lambda x: meant.rounded(x, "gelu", 0.5), X)
    assert torch.equal(y, expected)
    torch.testing.assert_close(slope, expected_slope, rtol=0, atol=0)
    assert torch.equal(Calls.WAYS[way](X * 1), kinked)  # outside of the model all is as it was
    assert not torch.equal(y, kinked)


def test_modules_are_replaced_wherever_they_stand_with_their_hooks_and_mode():
    shared, seen = nn.ReLU(inplace=True), []
    shared.register_forward_hook(lambda *_: seen.append(1))
    model = nn.Sequential(nn.Linear(2, 2), shared, nn.Sequential(nn.LeakyReLU(0.1), shared), nn.Tanh()).eval()
    lb.remedies.smooth(model, "smelu", width=2.0)
    assert [type(module) for module in model] == [nn.Linear, Rounded, nn.Sequential, nn.Tanh]
    assert model[1] is model[2][1]
    assert repr(model[2][0]) == "Rounded(LeakyReLU -> smelu, width=2)"
    assert not model[1].training
    x = torch.randn(3, 2)
    inner = relu().rounded(model[0](x), "smelu", 2.0)
    inner = relu().rounded(leaky_relu(0.1).rounded(inner, "smelu", 2.0), "smelu", 2.0)
    assert torch.equal(model(x), inner.tanh())
    assert seen == [1, 1]


def test_an_activation_by_itself_comes_back_replaced():
    assert isinstance(lb.remedies.smooth(nn.ReLU6()), Rounded)


def deep():
    return nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.ReLU()), nn.Linear(1, 1), nn.ReLU())


@pytest.mark.parametrize(
    ("first", "last", "replaced"),
    [
        (None, None, ["0", "1.0", "1.1", "3"]),
        ("1", None, ["1.0", "1.1", "3"]),
        (None, "1", ["0", "1.0", "1.1"]),
        ("1.1", "1", ["1.1"]),
        ("3", "3", ["3"]),
    ],
)
def test_only_from_or_up_to_a_layer(first, last, replaced):
    model = deep()
    lb.remedies.smooth(model, first=first, last=last)
    assert [name for name, module in model.named_modules() if isinstance(module, Rounded)] == replaced


def test_functions_belong_to_the_innermost_module_that_runs():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Calls(0), Calls(1)

        def forward(self, x):
            return self.first(x), self.second(x), functional.relu(x)

    model = lb.remedies.smooth(Both(), first="second")
    smooth = functional.silu(X)
    for y, expected in zip(model(X), (X.relu(), smooth, X.relu()), strict=True):
        assert torch.equal(y, expected)


def test_checkpointed_layers_are_computed_again_with_the_same_functions():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Calls(0)

        def forward(self, x):
            return checkpoint(self.layer, x, use_reentrant=False)

    _, slope = differentiated(lb.remedies.smooth(Checkpointed()), X)
    _, expected = differentiated(functional.silu, X)
    assert torch.equal(slope, expected)


def test_a_transformer_layer_calls_no_fused_kernel_with_the_kink_inside():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    reference = copy.deepcopy(layer)
    reference.activation = functional.gelu
    reference.activation_relu_or_gelu = 0  # which rules the fused kernel out
    lb.remedies.smooth(layer, "gelu")
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), reference(x), rtol=0, atol=1e-6)


def test_an_error_in_the_model_leaves_no_mode_behind():
    class Fails(nn.Module):
        def forward(self, x):
            raise RuntimeError("no", functional.relu(x))

    model = lb.remedies.smooth(Fails())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no"):
            model(X)
    assert torch.equal(functional.relu(X), X.clamp(min=0))


def test_a_copy_is_smooth_too_and_weights_keep_their_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Calls(0))
    names = list(model.state_dict())
    twin = copy.deepcopy(lb.remedies.smooth(model))
    x = torch.randn(4, 2)
    assert torch.equal(twin(x), model(x))
    assert torch.equal(twin(x), functional.silu(functional.silu(model[0](x))))
    assert list(twin.state_dict()) == names


def test_compiled_after_it_is_smoothed_it_stays_smooth():
    model = torch.compile(lb.remedies.smooth(nn.Sequential(nn.ReLU(), Calls(0))), backend="eager")
    assert torch.equal(model(X), functional.silu(functional.silu(X)))


@pytest.mark.parametrize("options", [{"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2}])
@pytest.mark.parametrize("more", [{}, {"dilation": 2, "ceil_mode": True}])
def test_the_soft_maximum_tends_to_max_pooling_and_is_that_of_its_windows(options, more):
    pool = nn.MaxPool2d(**options, **more)
    images = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(RoundedMaxPool2d(pool, 1e-9)(images), pool(images), rtol=0, atol=1e-8)
    soft = lb.remedies.smooth(nn.Sequential(pool), width=0.7, max_pool=True)(images)
    windows = functional.unfold(images.exp().pow(1 / 0.7), pool.kernel_size, pool.dilation, pool.padding, pool.stride)
    if not more:
        inside = functional.unfold(torch.ones_like(images), pool.kernel_size, 1, pool.padding, pool.stride)
        sums = windows.view(2, 3, -1, windows.shape[-1]).sum(2) / inside.view(2, 3, -1, windows.shape[-1]).sum(2)
        torch.testing.assert_close(soft.flatten(2), 0.7 * sums.log(), rtol=1e-12, atol=1e-12)
    assert bool((soft <= pool(images) + 1e-12).all())


def test_max_pooling_stays_unless_it_is_asked_for():
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    assert isinstance(lb.remedies.smooth(model)[1], nn.MaxPool2d)


@pytest.mark.parametrize("model", [nn.Sequential(nn.Linear(2, 2), nn.Tanh()), nn.GELU()])
def test_a_model_without_kinks_is_said(model):
    with pytest.warns(UserWarning, match="no kinked activation was replaced: the model has no ReLU"):
        lb.remedies.smooth(model)


def test_a_model_whose_code_calls_no_kinked_function_is_said_once_when_it_has_run():
    class Tanh(nn.Module):
        def forward(self, x):
            return getattr(x, "tanh")()  # noqa: B009 - what this calls shows when it runs

    model = lb.remedies.smooth(Tanh())
    with pytest.warns(UserWarning, match="the model called no relu, leaky_relu, relu6 or hardtanh"):
        model(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(X)


def test_a_model_whose_code_can_call_none_is_said_at_once():
    class Tanh(nn.Module):
        def forward(self, x):
            return x.tanh()

    with pytest.warns(UserWarning, match="the model has no ReLU, LeakyReLU, ReLU6 or Hardtanh"):
        lb.remedies.smooth(Tanh())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "slu"}, "there is no smooth activation 'slu': did you mean silu"),
        ({"to": "tanh"}, "there is no smooth activation 'tanh': allowed are silu, gelu, smelu, softplus"),
        ({"width": 0.0}, "width = 0.0: the slope changes over a positive, finite width"),
        ({"width": math.inf}, "width = inf"),
        ({"first": "1.7"}, "the model has no module '1.7': did you mean 1.1"),
        ({"first": "2", "last": "1"}, "first = '2' comes after last = '1'"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    model = deep()
    with pytest.raises(lb.LastbitError, match=message.replace("?", r"\?")):
        lb.remedies.smooth(model, **arguments)


def test_a_compiled_or_smoothed_model_is_refused():
    with pytest.raises(lb.LastbitError, match="compiled"):
        lb.remedies.smooth(torch.compile(deep(), backend="eager"))
    model = lb.remedies.smooth(Calls(0))
    with pytest.raises(lb.LastbitError, match="smoothed already"):
        lb.remedies.smooth(model, "gelu")
