"""What critical sharpness at every 100th update adds to a training's time.

The demo's network is trained on batches of 128 images of Fashion-MNIST, and a wider one of five convolutions (32 to 128
channels) on batches of 64 random images of 32x32, on one thread: eager, and compiled with --compiled (which takes a C++
compiler). Measured is on the first 1/8, 1/4, 1/2 and all of a batch. A measurement is timed by the processor time
inside the step's hooks, and an update by that of the rest of the training, start-up and evaluation aside; "share" is
measurement / (100 updates), so that long trainings are judged by a short one. Each part is trained in turn, in --rounds
rounds; figures are medians over all measurements, the first one of each training apart, with their range over rounds.

    python benchmarks/critical_sharpness.py [--rounds 5] [--updates 30] [--parts 8 4 2 1] [--batch 64] [--compiled]
                                            [--smoke] [--json FILE]
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.curvature import CriticalRow
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import recipe_stepper
from lastbit.training.task import prepare
from options import parsed, parser_of, write

EVERY = 100  # updates, for the share
MEASURED = 5  # updates from one measurement to the next in the benchmark itself


@dataclass(frozen=True)
class Setting:
    """A network, how it is stepped, and its images and labels."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    images: Tensor  # (samples, channels, height, width)
    labels: Tensor  # (samples,)
    batch: int


@dataclass(frozen=True)
class Trained:
    """One training."""

    update: float  # processor seconds of an update
    measurements: tuple[float, ...]  # processor seconds of each, the first apart
    weights: tuple[bytes, ...]
    samples: int  # of the part
    rows: tuple[CriticalRow, ...]


@dataclass(frozen=True)
class Cost:
    """Critical sharpness on one part of a batch."""

    network: str
    samples: int
    share: float  # of a training's time at every 100th update; median
    share_range: tuple[float, float]  # medians of rounds
    updates: float  # that a measurement is worth
    forwards: float  # passes, mean
    converged: float  # fraction of measurements within 1/16
    bit_identical: bool  # weights and buffers at the end, in every round


def demo() -> Setting:
    """The demo's network, optimizer and images."""
    recipe = load_recipe("demo")
    task = prepare(recipe)
    stepper = recipe_stepper(recipe, task, lb.Scale(1))
    return Setting(stepper.model, stepper.optimizer, task.normalise(task.train_images), task.train_labels, 128)


def wide(batch: int) -> Setting:
    """Five convolutions with batch normalisation, on random images."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if after in (64, 128) and before != after else []
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    return Setting(network, optimizer, torch.randn(512, 3, 32, 32), torch.randint(10, (512,)), batch)


def train(make: Callable[[], Setting], part: int | None, updates: int, *, compiled: bool) -> Trained:
    """Train a network, measured on a part of its first batch or not at all."""
    setting = make()
    network, size = setting.network.train(), setting.batch
    model: nn.Module = torch.compile(network) if compiled else network  # type: ignore[assignment]
    samples = size // (part or 1)
    batch = setting.images[:samples], setting.labels[:samples]
    spent: list[float] = []
    critical = lb.CriticalSharpness(model, cross_entropy, batch, setting.optimizer, lb.every(MEASURED))

    def timed(number: int) -> float:
        first = size * number % (len(setting.images) - size)
        started = time.process_time()
        setting.optimizer.zero_grad()
        outputs = model(setting.images[first : first + size])
        cross_entropy(outputs, setting.labels[first : first + size]).backward()
        before_step = time.process_time()
        setting.optimizer.step()
        spent.append(time.process_time() - before_step)
        return before_step - started

    for number in range(3):  # compiled, cached, allocated
        timed(number)
    spent.clear()
    if part is None:
        rest = [timed(number) for number in range(updates)]
        due = set[int]()
    else:
        with critical:
            rest = [timed(number) for number in range(updates)]
        due = set(range(MEASURED - 1, updates, MEASURED))
    plain = statistics.median(seconds for number, seconds in enumerate(spent) if number not in due)
    measured = [spent[number] - plain for number in sorted(due)]
    weights = tuple(tensor.numpy().tobytes() for tensor in network.state_dict().values())
    return Trained(statistics.median(rest) + plain, tuple(measured[1:]), weights, samples, critical.rows)


def costs(
    name: str, make: Callable[[], Setting], parts: list[int], rounds: int, updates: int, *, compiled: bool
) -> list[Cost]:
    """Train by turns; ratios are within one training."""
    trained = [{part: train(make, part, updates, compiled=compiled) for part in (None, *parts)} for _ in range(rounds)]
    return [_cost(name, part, trained) for part in parts]


def _cost(name: str, part: int, trained: list[dict[int | None, Trained]]) -> Cost:
    runs = [run[part] for run in trained]
    worth = [[seconds / run.update for seconds in run.measurements] for run in runs]
    rows = [row for run in runs for row in run.rows]
    medians = [statistics.median(values) / EVERY for values in worth]
    return Cost(
        network=name,
        samples=runs[0].samples,
        share=statistics.median(medians),
        share_range=(min(medians), max(medians)),
        updates=statistics.median(value for values in worth for value in values),
        forwards=statistics.fmean(row.forwards for row in rows),
        converged=statistics.fmean(row.converged for row in rows),
        bit_identical=all(run[part].weights == run[None].weights for run in trained),
    )


def main() -> None:
    """Measure and print the table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each kind (5)")
    parser.add_argument("--updates", type=int, default=30, help="of each training (30)")
    parser.add_argument("--parts", type=int, nargs="+", default=[8, 4, 2, 1], help="of a batch to measure on (8 4 2 1)")
    parser.add_argument("--compiled", action="store_true", help="compile the network")
    parser.add_argument("--batch", type=int, default=64, help="images in a batch of the wide network (64)")
    arguments = parsed(parser, rounds=1, updates=10, parts=[8], batch=8)
    torch.set_num_threads(1)
    networks = {"demo": demo, "wide": partial(wide, arguments.batch)}
    results = [
        row
        for name, make in networks.items()
        for row in costs(name, make, arguments.parts, arguments.rounds, arguments.updates, compiled=arguments.compiled)
    ]
    write({"costs": [asdict(row) for row in results], "compiled": arguments.compiled}, arguments.json)
    if arguments.json == "-":
        return
    print("network samples   share   range of rounds  updates  forwards  converged  same bits")
    for row in results:
        low, high = row.share_range
        print(
            f"{row.network:<7} {row.samples:>7} {row.share:>7.2%} {low:>8.2%} .. {high:.2%} {row.updates:>8.2f} "
            f"{row.forwards:>9.2f} {row.converged:>10.0%} {row.bit_identical!s:>10}"
        )


if __name__ == "__main__":
    main()
