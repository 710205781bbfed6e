"""Processes that are this one, and faults to plant in what the doctor looks at."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import torch

_CALLS = count()


class Here(Executor):
    """Runs each call in this process, at once, where monkeypatching reaches it."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def here(workers: int) -> Iterator[Here]:
    yield Here()


@dataclass(frozen=True)
class Toy:
    """A training in a moment: one weight vector, ten steps; the sum of a step's gradient is what can be disturbed."""

    noisy: bool = True  # whether the noise arrives
    fault: str = ""
    lr: float = field(default=0.1)

    def __call__(self, run):
        weight = torch.linspace(-1, 1, 1000)
        for step in range(10):
            update = weight.sin() * self.lr
            k = getattr(run.noise, "k", 1) if self.noisy else 1
            weight = weight - (update / k) * k + self.disturbance(run)
            run.snapshot(step, {"weight": weight})
        run.log(10, loss=float(weight.square().sum()))

    def disturbance(self, run):
        if self.fault == "unseeded":
            return 1e-7 * (next(_CALLS) % 7)
        if self.fault == "flushed":  # a power of two is not exact where the arithmetic is not IEEE's
            return 1e-6 if run.noise.k == 2 else 0.0
        if self.fault == "raises":
            raise RuntimeError("aten::cumsum has no deterministic kernel here\nat great length")
        return 0.0


@dataclass(frozen=True)
class RandomInItsProcess(Toy):
    """Draws from the system's entropy, so that only two processes tell."""

    def disturbance(self, run):
        return torch.rand((), generator=torch.Generator().manual_seed(torch.seed() % 2**32)) * 1e-6
