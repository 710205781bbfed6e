"""Where trainings settle beside the edge of each optimizer: full batches beside their edge, small ones beside theirs.

A tanh network with 40 hidden units is trained on images of the demo with a quadratic loss, on one thread. With full
batches of 200 images, every optimizer is trained at a rate at which it comes to its edge; "settled" is the median of
the normalised sharpness (2 is the edge) in the last third. With batches of 8 of 1,000 images, plain and heavy ball
descent are trained at several rates; "batch sharpness" is the mean of g'H_B g / |g|^2 over 24 batches at ten places of
the second half, beside both edges, with the sharpness of the whole loss and the loss at the end.

    python benchmarks/edges.py [--updates 1500] [--small-updates 8000] [--smoke] [--json FILE]
"""

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
    "heavy ball, the same lr / (1-m)": {"lr": 0.01, "momentum": 0.9},
    "heavy ball, half the lr": {"lr": 0.05, "momentum": 0.9},
    "heavy ball, the same lr": {"lr": 0.1, "momentum": 0.9},
}
BATCH = 8


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
    batch_sharpness: float  # mean over the second half
    sharpness: float  # of the whole loss, at the end
    loss: float  # of all images, at the end


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


def batch_sharpness(model: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
    """Mean of g'H_B g / |g|^2 over 24 batches."""
    weights, found = list(model.parameters()), []
    for _ in range(24):
        chosen = torch.randint(len(inputs), (BATCH,), generator=generator)
        slopes = torch.autograd.grad(loss(model(inputs[chosen]), targets[chosen]), weights, create_graph=True)
        fixed = [slope.detach() for slope in slopes]
        curved = torch.autograd.grad(slopes, weights, fixed)
        product = sum(float((one * other).sum()) for one, other in zip(fixed, curved, strict=True))
        found.append(product / sum(float(one.square().sum()) for one in fixed))
    return statistics.fmean(found)


def small(name: str, task: Task, updates: int) -> Small:
    """Train with small batches, and measure the batch sharpness at ten places of the second half."""
    inputs, targets = data(task, 1000)
    model = network(inputs)
    optimizer = torch.optim.SGD(model.parameters(), **SMALL[name])
    order, measured = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    found = []
    for update in range(1, updates + 1):
        chosen = torch.randint(len(inputs), (BATCH,), generator=order)
        optimizer.zero_grad()
        loss(model(inputs[chosen]), targets[chosen]).backward()
        optimizer.step()
        if update > updates // 2 and update % max(1, updates // 20) == 0:
            found.append(batch_sharpness(model, inputs, targets, measured))
    row = lb.SharpnessTracker(model, loss, (inputs, targets), tol=0.01).measure()
    with torch.no_grad():
        end = float(loss(model(inputs), targets))
    edges = [lb.edge_of_stability(optimizer, batch=batch)[0].value for batch in ("small", "full")]
    return Small(name, *edges, statistics.fmean(found), row.sharpness, end)


def main() -> None:
    """Train, and print the tables, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--updates", type=int, default=1500, help="with full batches (1500)")
    parser.add_argument("--small-updates", type=int, default=8000, help="with small batches (8000)")
    arguments = parsed(parser, updates=6, small_updates=8)
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
    print(f"\n{'batches of 8':<32} {'small':>8} {'full':>8} {'batch sharpness':>16} {'sharpness':>10} {'loss':>8}")
    for run in smalls:
        numbers = f"{run.small_edge:>8.1f} {run.full_edge:>8.1f} {run.batch_sharpness:>16.1f} {run.sharpness:>10.1f}"
        print(f"{run.optimizer:<32} {numbers} {run.loss:>8.4f}")


if __name__ == "__main__":
    main()
