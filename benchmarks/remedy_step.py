"""How much longer a training step takes with a remedy, and where a smooth activation's time goes.

Every round takes one step of each contestant in turn; a ratio to the plain network's step is taken within a round, and
the table gives the median over the rounds with its quartiles. Times are those of the thread's own processor time, so
that what else runs on the machine counts less. Contestants: the networks of the recipes demo and ResNet-8 with batches
of 128, plain, with smooth activations as modules, with the functions of torch replaced as in a script, and with an
average put on as in a script. The kernels alone, forward and backward, are timed on the first activation of ResNet-8.

    python benchmarks/remedy_step.py [--rounds 60] [--networks small-cnn resnet8] [--smoke] [--json FILE]
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lastbit.remedies import smooth
from lastbit.remedies.activations import ROUNDED
from lastbit.remedies.average_outside import AverageOutside
from lastbit.remedies.functions import SmoothFunctions
from lastbit.training.network import build_model
from lastbit.training.recipe import ModelSettings
from options import parsed, parser_of, write

WARM_UP = 4  # rounds that are not counted
BATCH = 128
SHAPES = {"small-cnn": (1, 28, 28), "resnet8": (3, 32, 32)}
KERNELS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    **ROUNDED,
    "gelu, tanh form": partial(functional.gelu, approximate="tanh"),
}


@dataclass(frozen=True)
class StepCost:
    """Processor time of a training step over that of the plain network."""

    network: str
    remedy: str
    ratio: float  # median over the rounds
    quartiles: tuple[float, float]
    milliseconds: float  # median


@dataclass(frozen=True)
class KernelCost:
    """Processor time of an activation's kernels on (128, 16, 32, 32) numbers, channels last."""

    activation: str
    forward: float  # milliseconds, median
    backward: float


class Contestant:
    """A network that takes steps on one and the same batch."""

    def __init__(self, name: str, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        shape = SHAPES[name]
        self.model = build_model(ModelSettings(name=name), shape=shape, classes=10, seed=0, dtype=torch.float32)
        self.model.to(memory_format=torch.channels_last)
        for module in self.model.modules():
            for child, relu in list(module.named_children()):
                if isinstance(relu, nn.ReLU):
                    setattr(module, child, activation())
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(BATCH, *shape, generator=generator)
        self.batch = images.to(memory_format=torch.channels_last), torch.randint(10, (BATCH,), generator=generator)

    def step(self) -> None:
        """Take one."""
        inputs, labels = self.batch
        self.optimizer.zero_grad()
        functional.cross_entropy(self.model(inputs), labels).backward()
        self.optimizer.step()


@contextmanager
def put_on_process(put_on: Callable[[], Any]) -> Iterator[None]:
    """What a remedy does to torch while a step is taken, and torch as it was afterwards."""
    places = {
        torch: ("relu", "relu_"),
        torch.Tensor: ("relu", "relu_"),
        torch.jit: ("script",),
        nn.Module: ("__call__", "load_state_dict"),
        functional: ("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_"),
    }
    kept = [(owner, name, getattr(owner, name)) for owner, names in places.items() for name in names]
    fast = torch.backends.mha.get_fastpath_enabled()
    put_on()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for owner, name, value in kept:
            setattr(owner, name, value)


def refuse(reason: str) -> Any:
    """No step is refused."""
    raise AssertionError(reason)


def contestants(name: str) -> dict[str, tuple[Contestant, Callable[[], None]]]:
    """Who takes steps, by the remedy, and what is put on the process for that; the plain network first."""
    everyone: dict[str, tuple[Contestant, Callable[[], None]]] = {"plain": (Contestant(name), nothing)}
    for to in ROUNDED:
        smoothed = Contestant(name)
        smooth(smoothed.model, to)
        everyone[f"smooth={to}, modules"] = smoothed, nothing
    everyone["nn.SiLU"] = Contestant(name, nn.SiLU), nothing
    everyone["nn.GELU"] = Contestant(name, nn.GELU), nothing
    everyone["nn.GELU, tanh form"] = Contestant(name, partial(nn.GELU, approximate="tanh")), nothing
    for to in ("silu", "gelu"):
        everyone[f"smooth={to}, script"] = Contestant(name), partial(SmoothFunctions(to, 1.0).put_on, refuse)
    averaged, average = Contestant(name), AverageOutside(get_ema_multi_avg_fn(0.999), 0, refuse)
    average.follow(averaged.optimizer)
    everyone["average=0.999, script"] = averaged, average.put_on
    return everyone


def nothing() -> None:
    """Put nothing on."""


def costs(name: str, rounds: int) -> list[StepCost]:
    """Measure all contestants of one network."""
    everyone = contestants(name)
    taken: dict[str, list[float]] = {key: [] for key in everyone}
    keys = list(everyone)
    for round_ in range(-WARM_UP, rounds):
        turn = round_ % len(keys)
        for key in keys[turn:] + keys[:turn]:
            contestant, put_on = everyone[key]
            with put_on_process(put_on):
                start = time.thread_time()
                contestant.step()
                seconds = time.thread_time() - start
            if round_ >= 0:
                taken[key].append(seconds * 1e3)
    results = []
    for key in keys:
        ratios = [ours / plain for ours, plain in zip(taken[key], taken["plain"], strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        results.append(StepCost(name, key, ratio, (low, high), statistics.median(taken[key])))
    return results


def kernels(rounds: int) -> list[KernelCost]:
    """Measure the activations alone, with the backward pass that autograd takes."""
    numbers = torch.randn(BATCH, 16, 32, 32).to(memory_format=torch.channels_last)
    gradient = torch.randn_like(numbers)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in KERNELS}
    for round_ in range(-WARM_UP, rounds):
        for name, kernel in KERNELS.items():
            x = numbers.clone().requires_grad_()
            start = time.thread_time()
            y = kernel(x)
            middle = time.thread_time()
            y.backward(gradient)
            if round_ >= 0:
                taken[name].append(((middle - start) * 1e3, (time.thread_time() - middle) * 1e3))
    return [KernelCost(name, *map(statistics.median, zip(*pairs, strict=True))) for name, pairs in taken.items()]


def main() -> None:
    """Measure and print the tables, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="counted rounds (60)")
    parser.add_argument("--networks", nargs="+", default=list(SHAPES), help="(small-cnn resnet8)")
    arguments = parsed(parser, rounds=2, networks=["small-cnn"])
    torch.set_num_threads(1)
    steps = [row for name in arguments.networks for row in costs(name, arguments.rounds)]
    alone = kernels(arguments.rounds)
    write({"steps": [asdict(row) for row in steps], "kernels": [asdict(row) for row in alone]}, arguments.json)
    if arguments.json == "-":
        return
    print(f"{'network':<10} {'remedy':<24} {'ratio':>6} {'quartiles':>13} {'ms':>8}")
    for row in steps:
        spread = f"{row.quartiles[0]:.2f} .. {row.quartiles[1]:.2f}"
        print(f"{row.network:<10} {row.remedy:<24} {row.ratio:>6.2f} {spread:>13} {row.milliseconds:>8.1f}")
    print(f"\n{'kernels':<24} {'forward ms':>10} {'backward ms':>12}")
    for kernel in alone:
        print(f"{kernel.activation:<24} {kernel.forward:>10.2f} {kernel.backward:>12.2f}")


if __name__ == "__main__":
    main()
