import gc
import sys
import weakref

import torch
from torch import nn

from lastbit.noise import Scale
from lastbit.schedules import every
from lastbit.script.snapshots import Snapshots, parameter_names, parameters_of
from lastbit.study.recorder import Recorder
from lastbit.study.trial import Trial


class Program:
    """Trains networks within functions, so that nothing of them is left afterwards."""

    def __init__(self, directory):
        self.directory = directory
        self.snapshots = Snapshots(Recorder(Trial({}, 1, Scale(1)), directory), every(4))

    def train(self, steps, value=1.0):
        network = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        self.snapshots.made(optimizer)
        for _ in range(steps):
            network.weight.grad = torch.full((2, 2), value)
            optimizer.step()
            self.snapshots.stepped(optimizer)
        return weakref.ref(network.weight)

    def kept(self):
        return sorted(int(path.stem) for path in (self.directory / "weights").iterdir())


def test_the_last_weights_are_kept_after_the_training_function_returned(tmp_path):
    program = Program(tmp_path)
    program.train(6)
    gc.collect()
    program.snapshots.keep()
    assert program.kept() == [4, 6]


def test_network_after_network_does_not_fill_the_memory(tmp_path):
    program = Program(tmp_path)
    networks = [program.train(3) for _ in range(4)]
    gc.collect()
    assert [network() is not None for network in networks] == [False, False, False, True]
    assert program.kept() == [3, 4, 6, 8, 9, 12]  # every fourth, and the end of each network


def test_weights_that_are_not_finite_are_noticed_at_their_first_snapshot(tmp_path):
    program = Program(tmp_path)
    program.train(6, value=float("inf"))
    assert program.snapshots.diverged_at == 4


def test_an_optimizer_that_was_not_made_in_sight_is_not_counted(tmp_path):
    snapshots = Snapshots(Recorder(Trial({}, 1, Scale(1)), tmp_path), every(1))
    snapshots.stepped(torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))
    assert snapshots.step == 0


class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def test_names_are_those_of_the_innermost_module_that_holds_them_all():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    wrapper = Wrapper(Wrapper(model))
    names = parameter_names(list(model.parameters()))
    assert names == [name for name, _ in model.named_parameters()]
    assert [name for name, _ in wrapper.named_parameters()] != names


def test_groups_follow_each_other():
    model = nn.ModuleDict({"body": nn.Linear(2, 3), "head": nn.Linear(3, 1)})
    optimizer = torch.optim.SGD([{"params": model["head"].parameters()}, {"params": model["body"].weight}], lr=0.1)
    assert parameter_names(parameters_of(optimizer)) == ["head.weight", "head.bias", "body.weight"]


def test_two_modules_in_one_optimizer_are_told_apart():
    encoder, decoder = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    names = parameter_names([*decoder.parameters(), *encoder.parameters()])
    assert names == ["weight (2)", "bias (2)", "0.weight", "0.bias", "1.weight", "1.bias"]


def test_parameters_of_no_module_are_counted():
    loose = [torch.zeros(2, requires_grad=True) for _ in range(2)]
    assert parameter_names(loose) == ["parameter 0", "parameter 1"]


# Constructors stay wrapped for the life of a process, so these cases run in one of their own.
PROGRAM = """
import copy, torch
from torch import nn
from torch.optim import SGD as Alias, Optimizer

class Early(torch.optim.Adam):
    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.ready = True

from lastbit.script.optimizers_made import on_every_optimizer
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


def test_every_optimizer_is_met_once_when_it_is_complete(warm_python):
    ended = warm_python.run([sys.executable, "-c", PROGRAM], check=True)
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
