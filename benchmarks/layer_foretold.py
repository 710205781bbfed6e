"""Does the bound of each layer foretell the layer in which an instability begins?

By theorem 5.7 each layer of a network obeys the one-layer bounds (section 5.5), and `layer_bounds` measures the largest
stable learning rate of each. Two networks whose instability is restrained, of Figures 7 and 8, are trained from 50
initial weights each, beside a twin that differs in the last bit of its updates. The layer with the smallest stable
learning rate, by each kind of bound, at the initial weights and at those from which the loss first rises, is compared
with the layer in which the twins part first: whose relative L2 distance is the largest when one passes a threshold.
The base rate is that of always naming the layer that parts first most often, which takes knowledge of the outcome; a
layer drawn at random is right once in so many layers.

Of Figure 7: three 3x3 convolutions of one channel, Swish, every 8th of the zeros and ones of MNIST. Of Figure 8, at the
size of its smoke run: four hidden layers of 100 tanh units on 400 images of Fashion-MNIST; its fully connected layers
are written as 1x1 convolutions of images of one pixel, which is the same function and which `layer_bounds` measures.

    OMP_NUM_THREADS=1 python benchmarks/layer_foretold.py [--seeds 50] [--smoke] [--json FILE]
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import get_args

import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.divergence import relative_l2
from lastbit.pde.layers.bounds import BoundKind
from lastbit.training.data import load
from options import parsed, parser_of, write

KINDS = tuple(kind for kind in get_args(BoundKind) if kind != "pixel")
THRESHOLDS = (1e-5, 1e-4, 1e-3)
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Setting:
    """A network of one of the figures, and the learning rate at which it is unstable."""

    name: str
    make: Callable[[], nn.Module]  # with torch's own initialisation
    batch: Batch
    lr: float
    steps: int


@dataclass(frozen=True)
class Training:
    """One pair of twins."""

    seed: int
    rises_at: int | None  # the step that first raises the loss
    parted: dict[str, str | None]  # threshold -> the layer that passed it first; None: none did
    parted_at: dict[str, int | None]
    at_start: dict[str, str | None]  # kind of bound -> the layer with the smallest stable learning rate; None: none
    at_rise: dict[str, str | None]  # the same at the weights from which the loss first rises


@dataclass(frozen=True)
class Share:
    """How often a kind of bound named the layer."""

    network: str
    threshold: str
    kind: str
    when: str  # start or rise
    trainings: int  # in which the loss rose and twins parted past the threshold
    hits: int
    low: float  # exact 95 % interval of the share
    high: float
    base_hits: int  # of the layer that parts first most often
    uniform: float
    better: int  # trainings in which the bound is right and the base guess wrong
    worse: int
    p: float  # exact, two-sided: of the two being right equally often (McNemar)


class Pooled(nn.Module):
    """The paper's logits (0, P), P the mean over positions of a stack of convolutions."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(part for _ in range(depth) for part in (nn.Conv2d(1, 1, 3, bias=False), nn.SiLU()))
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 1, height, width) to logits (n, 2)."""
        pooled = self.layers(images).mean((2, 3))
        return torch.cat([torch.zeros_like(pooled), pooled], dim=1)


def fully_connected(pixels: int, width: int, depth: int, classes: int) -> nn.Module:
    """Tanh layers as convolutions of one pixel, with torch's own initialisation of the linear layers they are."""
    widths = (pixels, *[width] * depth, classes)
    layers = [part for a, b in pairwise(widths) for part in (nn.Conv2d(a, b, 1), nn.Tanh())]
    return nn.Sequential(nn.Unflatten(1, (pixels, 1, 1)), *layers[:-1], nn.Flatten())


def settings(*, small: bool) -> Iterator[Setting]:
    """The networks."""
    digits = load("mnist01")
    every = 56 if small else 8
    batch = digits.train_images[::every].float(), digits.train_labels[::every].long()
    yield Setting("figure 7", lambda: Pooled(3), batch, 10.0, 60 if small else 1000)
    clothes = load("fashion-mini")
    count = 40 if small else 400
    images = clothes.train_images[:count].flatten(1).float()
    spread = images.std(0)
    images = (images - images.mean(0)) / torch.where(spread > 0, spread, 1.0)
    batch = images, clothes.train_labels[:count].long()
    yield Setting("figure 8", lambda: fully_connected(784, 100, 4, 10), batch, 0.2, 20 if small else 300)


def named(model: nn.Module, batch: Batch) -> dict[str, str | None]:
    """The layer with the smallest stable learning rate, by each kind of bound."""
    bounds = lb.pde.layer_bounds(model, cross_entropy, batch, tolerance=1e-2, max_products=40)
    return {kind: _strictest({layer.name: layer.max_lr(kind) for layer in bounds}) for kind in KINDS}


def _strictest(limits: dict[str, float]) -> str | None:
    name = min(limits, key=lambda name: limits[name])
    return name if math.isfinite(limits[name]) else None


def train(setting: Setting, seed: int) -> Training:
    """Train twins until all thresholds are passed and the loss has risen."""
    torch.manual_seed(seed)
    model = setting.make()
    at_start = named(model, setting.batch)
    twins = model, copy.deepcopy(model)
    plain = torch.optim.SGD(twins[0].parameters(), lr=setting.lr)
    other = lb.perturb(torch.optim.SGD(twins[1].parameters(), lr=setting.lr), lb.Scale(k=3))
    parted: dict[float, tuple[str, int]] = {}
    rises_at, at_rise, last, before = None, dict.fromkeys(KINDS), math.inf, copy.deepcopy(model)
    for step in range(setting.steps):
        loss = _gradient(twins[0], setting.batch)
        if rises_at is None and loss > last:
            rises_at, at_rise = step, named(before, setting.batch)
        if not math.isfinite(loss) or (rises_at is not None and len(parted) == len(THRESHOLDS)):
            break
        last = loss
        if rises_at is None:
            before.load_state_dict(twins[0].state_dict())
        _gradient(twins[1], setting.batch)
        plain.step()
        other.step()
        _note(parted, distances(*twins), step + 1)
    first = {f"{t:g}": parted.get(t, (None, None)) for t in THRESHOLDS}
    return Training(
        seed,
        rises_at,
        {t: layer for t, (layer, _) in first.items()},
        {t: at for t, (_, at) in first.items()},
        at_start,
        at_rise,
    )


def _gradient(model: nn.Module, batch: Batch) -> float:
    model.zero_grad()
    loss = cross_entropy(model(batch[0]), batch[1])
    torch.autograd.backward(loss)
    return loss.item()


def distances(one: nn.Module, other: nn.Module) -> dict[str, float]:
    """Relative L2 distance of each layer's weight between twins."""
    weights = [{n[:-7]: p for n, p in net.named_parameters() if n.endswith(".weight")} for net in (other, one)]
    return relative_l2(*weights).tensors


def _note(parted: dict[float, tuple[str, int]], apart: dict[str, float], step: int) -> None:
    layer = max(apart, key=lambda name: apart[name])
    for threshold in THRESHOLDS:
        if threshold not in parted and apart[layer] > threshold:
            parted[threshold] = layer, step


def shares(setting: Setting, trainings: list[Training]) -> Iterator[Share]:
    """How often each kind named the layer that parted first."""
    layers = sum(isinstance(module, nn.Conv2d) for module in setting.make().modules())
    for threshold in (f"{t:g}" for t in THRESHOLDS):
        counted = [t for t in trainings if t.rises_at is not None and t.parted[threshold] is not None]
        if not counted:
            continue
        (common, base), *_ = Counter(t.parted[threshold] for t in counted).most_common(1)
        for kind in KINDS:
            for when in ("start", "rise"):
                right = [getattr(t, f"at_{when}")[kind] == t.parted[threshold] for t in counted]
                guessed = [t.parted[threshold] == common for t in counted]
                interval = binomtest(sum(right), len(right)).proportion_ci(0.95, "exact")
                better = sum(hit and not guess for hit, guess in zip(right, guessed, strict=True))
                worse = better + base - sum(right)
                p = binomtest(better, better + worse).pvalue if better + worse else 1.0
                counts = len(right), sum(right), float(interval.low), float(interval.high), base
                yield Share(setting.name, threshold, kind, when, *counts, 1 / layers, better, worse, float(p))


def main() -> None:
    """Train, and print the shares."""
    parser = parser_of(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=50, help="trainings of each network (50)")
    arguments = parsed(parser, seeds=2)
    torch.set_num_threads(1)
    figures = {}
    for setting in settings(small=arguments.smoke):
        trainings = [train(setting, seed) for seed in range(arguments.seeds)]
        rows = list(shares(setting, trainings))
        figures[setting.name] = {
            "lr": setting.lr,
            "trainings": [asdict(training) for training in trainings],
            "shares": [asdict(row) for row in rows],
        }
        if arguments.json == "-":
            continue
        print(setting.name, Counter(t.parted["0.0001"] for t in trainings), flush=True)
        for row in rows:
            print(
                f"{row.threshold:>7} {row.kind:12} {row.when:5} {row.hits:3} of {row.trainings:3}"
                f" ({row.low:.2f} to {row.high:.2f}); base {row.base_hits}, uniform {row.uniform:.2f};"
                f" better {row.better}, worse {row.worse}, p {row.p:.2g}",
                flush=True,
            )
    write(figures, arguments.json)


if __name__ == "__main__":
    main()
