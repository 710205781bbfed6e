"""How much longer a step takes with what `lastbit run` puts into a trial's process, on the demo network.

One process is forked into a plain training and one with the instruments of a trial: the noise, the snapshots of the
weights, and the hooks that see files and processes. Memory is laid out alike in both, which otherwise changes a step's
time by more than the instruments do. They take turns on one core, an epoch of 32 steps each, and time their epochs by
the processor's time. A ratio is taken within each turn, after one that warms up; the table gives the median over the
turns of several pairs, with its quartiles.

    python benchmarks/run_overhead.py [--pairs 5] [--turns 12] [--images 4000] [--smoke] [--json FILE]
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from lastbit.noise import Noise, Rounding, Scale, Ulp
from lastbit.optimizers.family import build_optimizer
from lastbit.script.trial_process import instruments
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import initial_network
from lastbit.training.task import Task, prepare
from options import parsed, parser_of, write

Batches = Iterable[tuple[Tensor, Tensor]]  # images and labels
Training = AbstractContextManager[Callable[[], float]]  # gives what trains for an epoch, and milliseconds a step
NOISES: tuple[Noise, ...] = (Scale(1), Scale(3), Ulp(1), Rounding(0.03, 1))
HEADING = f"{'noise':<14}{'ratio':>8}{'quartiles':>18}{'plain ms':>11}{'run ms':>9}"


@dataclass(frozen=True)
class Overhead:
    """Processor time of a step with the instruments over that of a plain one; of all ranks where there are several."""

    noise: str
    ratio: float  # median over the turns
    quartiles: tuple[float, float]
    plain_ms: float  # median over the turns of the time of a step, milliseconds
    run_ms: float

    @classmethod
    def of(cls, noise: Noise, times: list[tuple[float, float]]) -> "Overhead":
        """Compare times of the same turns, plain and with the instruments."""
        low, median, high = statistics.quantiles([run / plain for plain, run in times], n=4)
        plain_ms, run_ms = (statistics.median(side) for side in zip(*times, strict=True))
        return cls(noise.label, median, (low, high), plain_ms, run_ms)

    def show(self) -> None:
        """Print it as a row below `HEADING`."""
        quartiles = f"{self.quartiles[0]:.3f} to {self.quartiles[1]:.3f}"
        row = f"{self.noise:<14}{self.ratio:>8.3f}{quartiles:>18}{self.plain_ms:>11.2f}{self.run_ms:>9.2f}"
        print(row, flush=True)


def answer(line: Connection, model: Module, optimizer: Optimizer, epochs: Iterator[Batches]) -> None:
    """Train for an epoch at every message, and answer with its milliseconds a step; None ends the training."""
    while line.recv() is not None:
        steps, begun = 0, time.process_time()
        for images, labels in next(epochs):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
            steps += 1
        line.send(1e3 * (time.process_time() - begun) / steps)


def in_turns(plain: Training, run: Training, turns: int) -> list[tuple[float, float]]:
    """Milliseconds a step of a plain training and of one with the instruments, turn after turn."""
    with plain as plain_epoch, run as run_epoch:
        plain_epoch(), run_epoch()  # which warms up
        return [(plain_epoch(), run_epoch()) for _ in range(turns)]


def train(task: Task, noise: Noise | None, place: str, line: Connection) -> None:
    """Train the demo network in a fork of the process."""
    (Path(place) / "output").mkdir()
    settings = {"directory": place, "seed": 1, "noise": dict(noise.as_json()) if noise else {}, "snapshots": 10}
    with instruments(settings) if noise else nullcontext():
        recipe = load_recipe("demo")
        model = initial_network(recipe, task)
        optimizer = build_optimizer(recipe.optimizer, model.parameters())
        answer(line, model, optimizer, task.epochs(seed=1))


@contextmanager
def training(task: Task, noise: Noise | None) -> Iterator[Callable[[], float]]:
    """A training in a fork of this process; gives a function that lets it train for an epoch."""
    context = get_context("fork")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as place:
        process = context.Process(target=train, args=(task, noise, place, theirs))
        process.start()

        def epoch() -> float:
            """Train for one more epoch; milliseconds a step."""
            ours.send(True)
            milliseconds: float = ours.recv()
            return milliseconds

        yield epoch
        ours.send(None)
        process.join()


def main() -> None:
    """Print the table, and write it as JSON where asked to."""
    parser = parser_of(__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="pairs of trainings under each noise (5)")
    parser.add_argument("--turns", type=int, default=12, help="timed epochs of each training (12)")
    parser.add_argument("--images", type=int, default=4000, help="that the demo trains on (4000: all)")
    arguments = parsed(parser, pairs=1, turns=2, images=256)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    task = prepare(load_recipe("demo", changes=(f"data.train={arguments.images}",)))
    rows = []
    print(HEADING)
    for noise in NOISES:
        pairs = ((training(task, None), training(task, noise)) for _ in range(arguments.pairs))
        row = Overhead.of(noise, [turn for pair in pairs for turn in in_turns(*pair, arguments.turns)])
        row.show()
        rows.append(asdict(row))
    write(rows, arguments.json)


if __name__ == "__main__":
    main()
