"""What critical sharpness at every 100th update adds to a training's time, beside a Hessian product's sharpness.

The demo's network is trained on its batches of 128, on one thread: eager, and compiled with --compiled (which takes a
C++ compiler). A measurement is timed by the processor time inside the step's hooks, and an update by that of the rest
of the training, start-up and evaluation aside; "share" is measurement / (100 updates), so that long trainings are
judged by a short one. Each size of batch is trained in turn, in --rounds rounds; figures are medians over all
measurements, the first one of each training apart, with their range over rounds.

    python benchmarks/critical_sharpness.py [--rounds 5] [--updates 60] [--samples 32 64 128] [--compiled]
                                            [--smoke] [--json FILE]
"""

import statistics
import time
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.curvature import CriticalRow
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import recipe_stepper
from lastbit.training.task import Task, prepare
from options import parsed, parser_of, write

EVERY = 100  # updates, for the share
MEASURED = 5  # updates from one measurement to the next in the benchmark itself


@dataclass(frozen=True)
class Trained:
    """One training."""

    update: float  # processor seconds of an update
    measurements: tuple[float, ...]  # processor seconds of each, the first apart
    weights: tuple[bytes, ...]
    rows: tuple[CriticalRow, ...]


@dataclass(frozen=True)
class Cost:
    """Critical sharpness on one size of batch."""

    samples: int
    share: float  # of a training's time at every 100th update; median
    share_range: tuple[float, float]  # medians of rounds
    updates: float  # that a measurement is worth
    forwards: float  # passes, mean
    converged: float  # fraction of measurements within 1/16
    bit_identical: bool  # weights and buffers at the end, in every round


def train(task: Task, samples: int | None, updates: int, *, compiled: bool) -> Trained:
    """Train the demo's network, measured on the first samples or not at all."""
    torch.manual_seed(0)
    stepper = recipe_stepper(load_recipe("demo"), task, lb.Scale(1))
    network, optimizer = stepper.model.train(), stepper.optimizer
    model: nn.Module = torch.compile(network) if compiled else network  # type: ignore[assignment]
    images, labels = task.normalise(task.train_images), task.train_labels
    batch = (images[:samples], labels[:samples]) if samples is not None else (images[:1], labels[:1])
    spent: list[float] = []
    critical = lb.CriticalSharpness(model, cross_entropy, batch, optimizer, lb.every(MEASURED))

    def timed(number: int) -> float:
        first = 128 * number % (len(images) - 128)
        started = time.process_time()
        optimizer.zero_grad()
        cross_entropy(model(images[first : first + 128]), labels[first : first + 128]).backward()
        before_step = time.process_time()
        optimizer.step()
        spent.append(time.process_time() - before_step)
        return before_step - started

    for number in range(3):  # compiled, cached, allocated
        timed(number)
    spent.clear()
    if samples is None:
        rest = [timed(number) for number in range(updates)]
        due = set[int]()
    else:
        with critical:
            rest = [timed(number) for number in range(updates)]
        due = set(range(MEASURED - 1, updates, MEASURED))
    plain = statistics.median(seconds for number, seconds in enumerate(spent) if number not in due)
    measured = [spent[number] - plain for number in sorted(due)]
    weights = tuple(tensor.numpy().tobytes() for tensor in network.state_dict().values())
    return Trained(statistics.median(rest) + plain, tuple(measured[1:]), weights, critical.rows)


def costs(task: Task, sizes: list[int], rounds: int, updates: int, *, compiled: bool) -> list[Cost]:
    """Train by turns; ratios are within one training."""
    trained = [{size: train(task, size, updates, compiled=compiled) for size in (None, *sizes)} for _ in range(rounds)]
    found = []
    for size in sizes:
        runs = [run[size] for run in trained]
        worth = [[seconds / run.update for seconds in run.measurements] for run in runs]
        rows = [row for run in runs for row in run.rows]
        medians = [statistics.median(values) / EVERY for values in worth]
        found.append(
            Cost(
                samples=size,
                share=statistics.median(medians),
                share_range=(min(medians), max(medians)),
                updates=statistics.median(value for values in worth for value in values),
                forwards=statistics.fmean(row.forwards for row in rows),
                converged=statistics.fmean(row.converged for row in rows),
                bit_identical=all(run[size].weights == run[None].weights for run in trained),
            )
        )
    return found


def main() -> None:
    """Measure and print the table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each kind (5)")
    parser.add_argument("--updates", type=int, default=60, help="of each training (60)")
    parser.add_argument("--samples", type=int, nargs="+", default=[32, 64, 128], help="sizes of batch (32 64 128)")
    parser.add_argument("--compiled", action="store_true", help="compile the network")
    arguments = parsed(parser, rounds=1, updates=15, samples=[32])
    torch.set_num_threads(1)
    task = prepare(load_recipe("demo"))
    results = costs(task, arguments.samples, arguments.rounds, arguments.updates, compiled=arguments.compiled)
    write({"costs": [asdict(row) for row in results], "compiled": arguments.compiled}, arguments.json)
    if arguments.json == "-":
        return
    print("samples   share   range of rounds  updates  forwards  converged  same bits")
    for row in results:
        low, high = row.share_range
        print(
            f"{row.samples:>7} {row.share:>7.2%} {low:>8.2%} .. {high:.2%} {row.updates:>8.2f} {row.forwards:>9.2f}"
            f" {row.converged:>10.0%} {row.bit_identical!s:>10}"
        )


if __name__ == "__main__":
    main()
