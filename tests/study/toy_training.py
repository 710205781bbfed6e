"""Trainings of milliseconds, importable by worker processes."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

import lastbit as lb


def train(run, *, steps=12, learning_rate=0.5):
    """A two-layer ReLU network on fixed random data; the seed decides the order of the examples."""
    data = torch.Generator().manual_seed(0)
    inputs, weights = (torch.randn(shape, generator=data) for shape in ((64, 6), (6, 3)))
    labels = (inputs @ weights).argmax(1)
    parameters = {
        name: torch.randn(shape, generator=data).requires_grad_()
        for name, shape in (("first", (6, 16)), ("last", (16, 3)))
    }
    optimizer = lb.perturb(torch.optim.SGD(parameters.values(), lr=learning_rate, momentum=0.9), run.noise)
    order = torch.Generator().manual_seed(run.seed)
    for step in range(1, steps + 1):
        chosen = run.noise.arrange(torch.randperm(64, generator=order)[:16], step)
        loss = functional.cross_entropy(
            (inputs[chosen] @ parameters["first"]).relu() @ parameters["last"], labels[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not loss.isfinite():
            run.mark_diverged(step)
            return
        if step % 4 == 0:
            run.snapshot(step, parameters)
    predictions = ((inputs @ parameters["first"]).relu() @ parameters["last"]).argmax(1)
    run.log(steps, test_accuracy=100 * float((predictions == labels).double().mean()), loss=float(loss.detach()))
    run.log_predictions(predictions, labels)


def train_wide(run):
    """Sums of many terms, which kernels of other instruction sets add up in another order."""
    data = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(64, 200, generator=data), torch.randn(200, 3, generator=data).requires_grad_()
    optimizer = lb.perturb(torch.optim.SGD([weight], lr=0.5, momentum=0.9), run.noise)
    order = torch.Generator().manual_seed(run.seed)
    for step in range(1, 9):
        chosen = inputs[torch.randperm(64, generator=order)[:32]]
        optimizer.zero_grad()
        (chosen @ weight).tanh().logsumexp(1).sum().backward()
        optimizer.step()
        run.snapshot(step, {"weight": weight})
    run.log(8, test_accuracy=float(weight.detach().sum()))


def train_unseeded(run):
    """Has a source of noise that no seed controls."""
    run.log(1, test_accuracy=50 + 10 * float(torch.rand(1, generator=_fresh())))


def _fresh():
    generator = torch.Generator()
    generator.seed()
    return generator


def train_against_powers_of_two(run):
    """Repeats, but treats k = 2 differently."""
    run.log(1, test_accuracy=50.0 + (run.noise.k == 2))


def train_diverging(run):
    """Blows up for k = 3 alone."""
    train(run, learning_rate=1e30 if run.noise.k == 3 else 0.5)


def train_failing(run):
    """Raises for k = 3 alone."""
    if run.noise.k == 3:
        raise RuntimeError("k = 3 is unlucky")
    train(run)


@dataclass(frozen=True)
class Slow:
    """Takes a while for each trial and leaves a mark for each one begun, outside the study."""

    marks: Path
    seconds: float

    @property
    def settings(self):
        return {"name": "slow"}

    def __call__(self, run):
        (self.marks / f"{run.seed}-{run.noise.label}-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(self.seconds)
        train(run)


@dataclass(frozen=True)
class KillsItsWorker:
    """Kills its own process at k = 3, until the file is there."""

    marker: Path

    @property
    def settings(self):
        return {"name": "killer"}

    def __call__(self, run):
        if run.noise.k == 3 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        train(run)
