"""Constructors stay wrapped for the life of a process, so each case runs in one of its own."""

import subprocess
import sys

PROGRAM = """
import copy, torch
from torch import nn
from torch.optim import SGD as Alias, Optimizer

class Early(torch.optim.Adam):
    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.ready = True

from lastbit.script.optimizers import on_every_optimizer
made = []
on_every_optimizer(lambda optimizer: made.append((type(optimizer).__name__, getattr(optimizer, "ready", None))))

class Late(Early):
    def __init__(self, params):
        super().__init__(params)
        self.ready = "late"

class Plain(torch.optim.SGD):
    pass

class LookAhead(Optimizer):
    def __init__(self, base):
        super().__init__(base.param_groups, base.defaults)
        self.base = base

class Delegate(Optimizer):
    def __init__(self, optimizer):
        self.optimizer = optimizer

def params():
    return nn.Linear(2, 2).parameters()

first = Alias(params(), lr=0.1)
Early(params()), Late(params()), Plain(params(), lr=0.1), torch.optim.RMSprop(params())
LookAhead(torch.optim.AdamW(params())), Delegate(Alias(params(), lr=0.1)), copy.deepcopy(first)
try:
    Alias(params(), lr=-1)
except ValueError as error:
    print("refused", error)
Alias(params(), lr=0.2)
import inspect
print([*inspect.signature(torch.optim.SGD).parameters][:2])
print(made)
"""


def test_every_optimizer_is_met_once_when_it_is_complete():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    refused, signature, made = ended.stdout.splitlines()
    assert refused.startswith("refused Invalid learning rate")
    assert signature == "['params', 'lr']"
    assert made == str(
        [
            ("SGD", None),
            ("Early", True),
            ("Late", "late"),
            ("Plain", None),
            ("RMSprop", None),
            ("AdamW", None),
            ("SGD", None),
            ("SGD", None),
        ]
    )
