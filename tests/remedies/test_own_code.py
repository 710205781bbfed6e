"""Whether code may call a function: never no where it does."""

import functools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import relu

from lastbit.remedies.own_code import may_call
from lastbit.training.network import build_model
from lastbit.training.recipe import ModelSettings

NAMES = ("relu", "relu_", "hardtanh")


def built(name, channels):
    shape = (channels, 32, 32)
    return build_model(ModelSettings(name=name), shape=shape, classes=10, seed=0, dtype=torch.float32).modules()


SCALE, CONFIG = 2.0, SimpleNamespace(act=torch.relu)


def helper(x):
    return F.relu(x)


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.width = nn.Linear(2, 2), (1, 2)


def calls(method=None, **attributes):
    """A module of a class with this forward pass and these attributes of its own."""
    kind = type("Calls", (Base,), {"forward": method} if method else {})
    module = kind()
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


class Hidden(Base):
    def forward(self, x):
        return self.act(x)

    @property
    def act(self):
        return torch.relu


class Nested(Base):
    def forward(self, x):
        return max((relu(y) for y in x), key=lambda y: y.sum())


class Closed(Base):
    act = staticmethod(torch.relu)

    def forward(self, x):
        return self.act(x)


def bound(act):
    return lambda self, x: act(x)


@pytest.mark.parametrize(
    "module",
    [
        calls(lambda self, x: F.relu(self.inner(x))),
        calls(lambda self, x: x.relu()),
        calls(lambda self, x: torch.ops.aten.relu(x)),
        calls(lambda self, x: relu(x)),
        calls(lambda self, x: helper(x)),
        calls(lambda self, x: CONFIG.act(x)),
        calls(lambda self, x: getattr(x, "re" + "lu")()),
        calls(lambda self, x: self.act(x), act=F.relu),
        calls(lambda self, x: self.acts[0](x), acts=[torch.relu]),
        calls(lambda self, x: self.config.act(x), config=CONFIG),
        calls(lambda self, x: self.part(x), part=functools.partial(F.leaky_relu, negative_slope=0.1)),
        calls(bound(torch.relu)),
        Hidden(),
        Nested(),
        Closed(),
        type("Inherits", (Nested,), {})(),
    ],
)
def test_what_may_call_one_is_never_passed_over(module):
    assert may_call(module, NAMES)


def test_a_hook_counts():
    module = calls(lambda self, x: self.inner(x))
    assert not may_call(module, NAMES)
    module.register_forward_hook(lambda module, args, output: output.relu())
    assert may_call(module, NAMES)


@pytest.mark.parametrize(
    "module",
    [
        calls(lambda self, x: SCALE * torch.cat([self.inner(x), torch.tanh(x)]).mean((2, 3))),
        calls(lambda self, x: F.avg_pool2d(x, len(self.width))),
        *build_model(
            ModelSettings(name="resnet8"), shape=(3, 32, 32), classes=10, seed=0, dtype=torch.float32
        ).modules(),
        *build_model(
            ModelSettings(name="small-cnn"), shape=(1, 28, 28), classes=2, seed=0, dtype=torch.float32
        ).modules(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_ordinary_code_is_read_as_harmless(module):
    assert not may_call(module, NAMES)
