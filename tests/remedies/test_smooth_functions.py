"""Kinked functions replaced in a whole program, for which a process of its own stands here; and put back after."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from lastbit.remedies import functions
from lastbit.remedies.activations import Kinked, hardtanh, leaky_relu, relu, smelu
from lastbit.remedies.functions import SmoothFunctions
from lastbit.remedies.smooth import SmoothRemedy

X = torch.linspace(-8, 8, 401, dtype=torch.float64)


def doubled(x):
    return 2 * functional.relu(x)


class RefusedError(Exception):
    pass


def refuse(reason):
    raise RefusedError(reason)


@pytest.fixture
def program(monkeypatch):
    """Let whatever is put on a program be taken off again."""
    for owner, name in functions._PLACES:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for kind in functions._HOLDERS:
        monkeypatch.setattr(kind.__init__, "__defaults__", kind.__init__.__defaults__)
    monkeypatch.setattr(torch.jit, "script", torch.jit.script)
    fast = torch.backends.mha.get_fastpath_enabled()
    yield
    torch.backends.mha.set_fastpath_enabled(fast)


@pytest.fixture
def smoothed(program):
    put_on = SmoothFunctions("gelu", 0.5)
    put_on.put_on(refuse)
    return put_on


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (nn.ReLU(), relu()),
        (nn.ReLU(inplace=True), relu()),
        (nn.LeakyReLU(0.2), leaky_relu(0.2)),
        (nn.ReLU6(), hardtanh(0.0, 6.0)),
        (nn.Hardtanh(-2.0, 0.5), hardtanh(-2.0, 0.5)),
        (lambda x: functional.relu(x, True), relu()),
        (lambda x: functional.relu(input=x), relu()),
        (lambda x: (functional.relu(x, inplace=True), x)[1], relu()),  # drops what the call returns
        (lambda x: (x.relu_(), x)[1], relu()),
        (lambda x: (torch.relu_(x), x)[1], relu()),
        (lambda x: x.relu(), relu()),
        (lambda x: torch.relu(x), relu()),
        (lambda x: functional.relu6(x), hardtanh(0.0, 6.0)),
        (lambda x: functional.leaky_relu(x, 0.3, True), leaky_relu(0.3)),
        (lambda x: functional.hardtanh(x, -2.0, 0.5), hardtanh(-2.0, 0.5)),
    ],
)
def test_every_way_to_a_kinked_activation_becomes_smooth(smoothed, call, meant):
    x = X.clone().requires_grad_()
    y = call(x * 1)
    expected = meant.rounded(X.clone().requires_grad_(), "gelu", 0.5)
    assert torch.equal(y, expected)
    (slope,) = torch.autograd.grad(y.sum(), x)
    z = X.clone().requires_grad_()
    (expected_slope,) = torch.autograd.grad(meant.rounded(z, "gelu", 0.5).sum(), z)
    torch.testing.assert_close(slope, expected_slope, rtol=0, atol=0)
    assert smoothed.has_replaced


def test_modules_keep_their_class_and_names(smoothed):
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert type(model[1]) is nn.ReLU
    assert list(model.state_dict()) == ["0.weight", "0.bias"]


def test_a_stand_in_that_calls_relu_itself_does_not_call_itself(program):
    SmoothFunctions("smelu", 1.0).put_on(refuse)
    assert torch.equal(functional.relu(X), smelu(X))
    inside = torch.where(X.abs() <= 1, (X + 1) ** 2 / 4, X.clamp(min=0))
    torch.testing.assert_close(smelu(X), inside, rtol=0, atol=1e-15)


def test_transformers_are_smooth_in_training_and_in_evaluation(smoothed):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    by_name = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation="relu")
    by_name.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 8)
    trained = layer(x)
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(x), trained, rtol=0, atol=1e-6)
        torch.testing.assert_close(by_name.eval()(x), trained, rtol=0, atol=1e-6)
    plain = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation=lambda x: x.clamp(min=0))
    plain.load_state_dict(layer.state_dict())
    assert (plain(x) - trained).abs().max() > 1e-3


# Dynamo lists torch's functions once in a process: here they would be listed as what has taken their places.
_COMPILED = """
import torch
from torch import nn
from torch.nn import functional
from lastbit.remedies.activations import relu
from lastbit.remedies.functions import SmoothFunctions

smoothed = SmoothFunctions("gelu", 0.5)
smoothed.put_on(exit)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4))
x = torch.randn(5, 3)
compiled = torch.compile(lambda x: functional.relu(model(x)), backend="eager", fullgraph=True)
meant = relu().rounded(model[2](relu().rounded(model[0](x), "gelu", 0.5)), "gelu", 0.5)
print(torch.equal(compiled(x), meant), smoothed.has_replaced)
"""


def test_a_compiled_model_is_smooth_and_has_no_break_in_its_graph(warm_python):
    ended = warm_python.run([sys.executable, "-c", _COMPILED])
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True True\n", "")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_scripted_model_is_refused_and_a_scripted_function_compiled_as_it_is(smoothed):
    with pytest.raises(RefusedError, match=r"compiles Sequential by torch.jit.script, and its activations with it"):
        torch.jit.script(nn.Sequential(nn.ReLU()))
    assert torch.equal(torch.jit.script(doubled)(X), 2 * X.clamp(min=0))
    assert torch.equal(functional.relu(X), relu().rounded(X, "gelu", 0.5))


def test_a_program_that_calls_none_is_said(program):
    said = SmoothRemedy().on_program(refuse)
    torch.tanh(X)
    assert said() == "called no activation that smooth=silu replaces: it changed nothing"
    functional.relu6(X)
    assert said() == ""


def test_each_function_in_its_places_has_a_stand_in():
    assert all(getattr(owner, name) in functions.FUNCTIONS for owner, name in functions._PLACES)
    assert all(isinstance(make(), Kinked) for make in functions.FUNCTIONS.values())
