import gc
import weakref

import torch
from torch import nn

from lastbit.noise import Scale
from lastbit.schedules import every
from lastbit.script.snapshots import Snapshots
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
