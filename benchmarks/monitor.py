"""What the sharpness monitor adds to a training's time, and whether the training stays bit for bit the same.

The demo recipe is trained to its end, evaluation and all, on one thread, without the monitor and with it at every=100,
by turns. "inside" is the processor time spent in the monitor, its start included, over that of the rest of the same
training: what a busy machine slows, it slows in both. "beside" is the processor time of a training with the monitor
over that of the one without in the same round, less one, which also holds what the monitor costs elsewhere, in caches
for instance, and the machine's noise. Both are medians over the rounds with their range.

The monitored data are the first samples of the training set as one fixed batch, in several sizes. --reference measures
the whole training set at the same steps, to see what a small batch's sharpness is worth.

    python benchmarks/monitor.py [--rounds 5] [--samples 16 32 64] [--images 4000] [--reference] [--smoke]
                                 [--json FILE]
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import torch
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.curvature import SharpnessRow
from lastbit.study import Recorder, Trial
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeRun
from lastbit.training.task import Task, prepare
from options import parsed, parser_of, write

EVERY = 100


class Clocked(lb.SharpnessMonitor):
    """A monitor that counts its own processor time."""

    spent = 0.0

    def __enter__(self) -> Self:
        """Watch, by the clock."""
        with self._clock():
            return super().__enter__()

    def measure(self) -> SharpnessRow:
        """Measure, by the clock."""
        with self._clock():
            return super().measure()

    @contextmanager
    def _clock(self) -> Iterator[None]:
        started = time.process_time()
        yield
        self.spent += time.process_time() - started


@dataclass(frozen=True)
class Trained:
    """One training."""

    seconds: float  # of processor time
    inside: float  # of these, in the monitor
    weights: tuple[bytes, ...]  # weights and buffers at the end
    rows: tuple[SharpnessRow, ...]


@dataclass(frozen=True)
class Cost:
    """The monitor on one size of batch."""

    samples: int
    inside: float  # median over the rounds
    inside_range: tuple[float, float]
    beside: float
    beside_range: tuple[float, float]
    bit_identical: bool  # weights and buffers at the end, in every round
    rows: tuple[SharpnessRow, ...]  # of the first round


def train(task: Task, samples: int | None) -> Trained:
    """Train the demo, monitored on the first samples or not at all; making network and batch is not counted."""
    with TemporaryDirectory() as folder:
        return _train(RecipeRun(load_recipe("demo"), task, Recorder(Trial({}, 1, lb.Scale(1)), Path(folder))), samples)


def _train(training: RecipeRun, samples: int | None) -> Trained:
    task = training.task
    batch = task.normalise(task.train_images[:samples]), task.train_labels[:samples]
    monitor = Clocked(
        training.stepper.model, cross_entropy, batch, training.stepper.optimizer, lb.every(EVERY), micro_batch=1000
    )
    started = time.process_time()
    with nullcontext() if samples is None else monitor:
        training.train()
    seconds = time.process_time() - started
    weights = tuple(tensor.numpy().tobytes() for tensor in training.stepper.model.state_dict().values())
    return Trained(seconds, monitor.spent, weights, monitor.rows)


def costs(task: Task, sizes: list[int], rounds: int) -> list[Cost]:
    """Train by turns, and take ratios within each round; the order turns so that nobody is always first."""
    contestants: list[int | None] = [None, *sizes]
    trained: list[dict[int | None, Trained]] = []
    train(task, sizes[0])
    for round_ in range(rounds):
        turn = round_ % len(contestants)
        trained.append({size: train(task, size) for size in contestants[turn:] + contestants[:turn]})
    return [cost(size, trained) for size in sizes]


def cost(samples: int, trained: list[dict[int | None, Trained]]) -> Cost:
    """One size's ratios."""
    runs = [(run[samples], run[None]) for run in trained]
    inside = [watched.inside / (watched.seconds - watched.inside) for watched, _ in runs]
    beside = [watched.seconds / plain.seconds - 1 for watched, plain in runs]
    return Cost(
        samples=samples,
        inside=statistics.median(inside),
        inside_range=(min(inside), max(inside)),
        beside=statistics.median(beside),
        beside_range=(min(beside), max(beside)),
        bit_identical=all(watched.weights == plain.weights for watched, plain in runs),
        rows=runs[0][0].rows,
    )


def printed(samples: int, rows: tuple[SharpnessRow, ...], times: str = "") -> None:
    """Print one line of the table."""
    products = " ".join(str(row.matvecs) for row in rows)
    sharpness = "  ".join(f"{row.sharpness:5.1f}" for row in rows)
    print(f"{samples:>7} {times:<58} {products:>9}  {sharpness}")


def main() -> None:
    """Measure and print the table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each kind (5)")
    parser.add_argument("--samples", type=int, nargs="+", default=[16, 32, 64], help="sizes of batch (16 32 64)")
    parser.add_argument("--reference", action="store_true", help="measure the whole training set too (minutes)")
    parser.add_argument("--images", type=int, default=4000, help="that the demo trains on (4000: all)")
    arguments = parsed(parser, rounds=1, samples=[16], images=1500)
    torch.set_num_threads(1)
    task = prepare(load_recipe("demo", changes=(f"data.train={arguments.images}",)))
    results = costs(task, arguments.samples, arguments.rounds)
    whole = train(task, len(task.train_images)).rows if arguments.reference else ()
    write({"costs": [*map(asdict, results)], "whole": [row.as_dict() for row in whole]}, arguments.json)
    if arguments.json == "-":
        return
    columns = f"{'inside':>7} {'range':>15} {'beside':>7} {'range':>15} {'same bits':>9}"
    steps = " and ".join(str(row.step) for row in results[0].rows)
    print(f"{'samples':>7} {columns:<58} {'products':>9}  sharpness at step {steps}")
    for row in results:
        spans = [f"{low:+.1%} .. {high:+.1%}" for low, high in (row.inside_range, row.beside_range)]
        times = f"{row.inside:>+7.1%} {spans[0]:>15} {row.beside:>+7.1%} {spans[1]:>15} {row.bit_identical!s:>9}"
        printed(row.samples, row.rows, times)
    if whole:
        printed(len(task.train_images), whole)


if __name__ == "__main__":
    main()
