"""Where trainings settle beside the edge of each optimizer: full batches beside their edge, small ones beside theirs.

Networks are trained on images of the demo with a quadratic loss, on one thread. With full batches of 200 images and 40
tanh units, every optimizer is trained at a rate at which it comes to its edge; "settled" is the median of the
normalised sharpness (2 is the edge) in the last third.

With batches of 8 of 2,000 images, a ReLU network of two hidden layers of 64, begun at half the usual weights, is
trained by plain and by heavy ball descent at several rates: the setting of Andreyev and Beneventano in small. Batch
sharpness, over 64 batches, and the sharpness of the whole loss are measured at twenty places, each against its own
edge, so that 2 is either edge; means are over the last quarter, with the range of all.

    python benchmarks/edges.py [--updates 1500] [--small-updates 20000] [--smoke] [--json FILE]
"""

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

import lastbit as lb
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import Task, prepare
from options import parsed, parser_of, write

Kind = type[torch.optim.Optimizer]
FULL: dict[str, tuple[Kind, dict[str, Any]]] = {
    "gradient descent": (torch.optim.SGD, {"lr": 0.1}),
    "heavy ball": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"lr": 1e-3}),
    "AdamW": (torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.1}),
    "NAdam": (torch.optim.NAdam, {"lr": 1e-3}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 2e-4}),
    "RMSprop, momentum": (torch.optim.RMSprop, {"lr": 1e-4, "momentum": 0.9}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 2e-2}),
}
SMALL: dict[str, dict[str, Any]] = {
    "gradient descent": {"lr": 0.1},
    "gradient descent, twice the lr": {"lr": 0.2},
    "heavy ball, the same lr / (1-m)": {"lr": 0.01, "momentum": 0.9},
    "heavy ball, half the lr": {"lr": 0.05, "momentum": 0.9},
    "heavy ball, the same lr": {"lr": 0.1, "momentum": 0.9},
}
BATCH, PLACES = 8, 20


@dataclass(frozen=True)
class Full:
    """One training with full batches."""

    optimizer: str
    edge: float  # at the end
    settled: float  # normalised sharpness, median of the last third
    lowest: float
    highest: float
    loss: float


@dataclass(frozen=True)
class Small:
    """One training with small batches."""

    optimizer: str
    small_edge: float
    full_edge: float
    batch_sharpness: tuple[float, ...]  # against the edge of small batches, at each place
    sharpness: tuple[float, ...]  # against the edge of full batches
    signal_to_noise: float  # at the end
    finite: bool  # the loss, to the end
    losses: tuple[float, ...]  # of all images, at each place


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the mean squared distance from the targets."""
    return (outputs - targets).square().sum(1).mean() / 2


def data(task: Task, count: int) -> tuple[Tensor, Tensor]:
    """Every fourth pixel of the first images, and their classes as unit vectors."""
    pixels = task.normalise(task.train_images[:count]).reshape(count, -1)[:, ::4]
    return pixels, one_hot(task.train_labels[:count], 10).float()


def network(inputs: Tensor) -> nn.Module:
    """A fresh network, always the same."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs.shape[1], 40), nn.Tanh(), nn.Linear(40, 10))


def full(name: str, task: Task, updates: int) -> Full:
    """Train with full batches, and measure the sharpness at every thirtieth part."""
    inputs, targets = data(task, 200)
    model, (kind, options) = network(inputs), FULL[name]
    optimizer = kind(model.parameters(), **options)
    every = max(1, updates // 30)
    with lb.SharpnessMonitor(model, loss, (inputs, targets), optimizer, lb.every(every), tol=0.01) as monitor:
        for _ in range(updates):
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()
    last = [row.normalised for row in monitor.rows[len(monitor.rows) * 2 // 3 :]]
    end = monitor.rows[-1]
    return Full(name, end.edge, statistics.median(last), min(last), max(last), float(end.loss or 0.0))


def small(name: str, task: Task, updates: int) -> Small:
    """Train with small batches until the loss is not finite, and measure at twenty places."""
    inputs, targets = data(task, 2000)
    model = deep(inputs)
    optimizer = torch.optim.SGD(model.parameters(), **SMALL[name])
    edges = [lb.edge_of_stability(optimizer, batch=batch)[0].value for batch in ("small", "full")]
    options: dict[str, Any] = {"optimizer": optimizer, "batch_size": BATCH, "batches": 64, "largest": 0}
    batches = lb.BatchSharpness(model, loss, (inputs, targets), **options)
    tracker = lb.SharpnessTracker(model, loss, (inputs, targets), tol=0.02, optimizer=optimizer)
    order = torch.Generator().manual_seed(1)
    found: list[tuple[float, float, float]] = []
    noise, finite = float("nan"), True
    for update in range(1, updates + 1):
        chosen = torch.randint(len(inputs), (BATCH,), generator=order)
        optimizer.zero_grad()
        loss(model(inputs[chosen]), targets[chosen]).backward()
        optimizer.step()
        if update % max(10, updates // PLACES) == 0:
            with torch.no_grad():
                value = float(loss(model(inputs), targets))
            finite = math.isfinite(value)
            if not finite:
                break
            row = batches.measure()
            noise = row.signal_to_noise.value
            found.append((row.normalised, tracker.measure().normalised, value))
    stood, sharpness, losses = tuple(zip(*found, strict=True)) or ((), (), ())
    return Small(name, edges[0], edges[1], stood, sharpness, noise, finite, losses)


def deep(inputs: Tensor) -> nn.Module:
    """A fresh network of two hidden layers, always the same."""
    torch.manual_seed(0)
    width = 64
    layers = [nn.Linear(inputs.shape[1], width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return model


def settled(values: tuple[float, ...], *, finite: bool) -> str:
    """The mean of the last quarter, and the range of all."""
    if not finite:
        return "not finite"
    return f"{statistics.fmean(values[-max(1, len(values) // 4) :]):.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    """Train, and print the tables, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--updates", type=int, default=1500, help="with full batches (1500)")
    parser.add_argument("--small-updates", type=int, default=20_000, help="with small batches (20000)")
    arguments = parsed(parser, updates=6, small_updates=10)
    torch.set_num_threads(1)
    task = prepare(load_recipe("demo"))
    fulls = [full(name, task, arguments.updates) for name in FULL]
    smalls = [small(name, task, arguments.small_updates) for name in SMALL]
    write({"full": [asdict(row) for row in fulls], "small": [asdict(row) for row in smalls]}, arguments.json)
    if arguments.json == "-":
        return
    print(f"{'full batch':<32} {'edge':>8} {'settled':>8} {'lowest':>7} {'highest':>7} {'loss':>8}")
    for row in fulls:
        numbers = f"{row.edge:>8.1f} {row.settled:>8.2f} {row.lowest:>7.2f} {row.highest:>7.2f} {row.loss:>8.4f}"
        print(f"{row.optimizer:<32} {numbers}")
    print(f"\n{'batches of 8':<32} {'small':>6} {'full':>6} {'batch sharpness':>18} {'sharpness':>18} {'loss':>8}")
    for run in smalls:
        stood, whole = (settled(values, finite=run.finite) for values in (run.batch_sharpness, run.sharpness))
        ended = run.losses[-1] if run.finite else float("nan")
        print(f"{run.optimizer:<32} {run.small_edge:>6.1f} {run.full_edge:>6.1f} {stood:>18} {whole:>18} {ended:>8.4f}")


if __name__ == "__main__":
    main()
