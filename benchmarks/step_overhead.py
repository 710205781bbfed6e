"""How much longer a perturbed optimizer step takes than torch's own, on the parameters of ResNet-56 for CIFAR.

Every round times one step of each contestant in turn, so that a busy machine slows all of them alike; a ratio is taken
within a round, and the table gives the median ratio over the rounds with its quartiles. Absolute times are medians too.

    python benchmarks/step_overhead.py [--rounds 300] [--threads 1] [--k 1 3] [--p 0 0.03 0.5] [--smoke]
                                       [--json FILE]
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lastbit.noise import Noise, Rounding, Scale, Ulp, perturb
from options import parsed, parser_of, write

WARM_UP = 10  # rounds that are not counted: state is created in them
# The largest activation of a training step (batch 128). Freeing one teaches glibc's malloc to keep that much memory
# instead of handing it back to the system; without it every step, torch's too, would pay for page faults that no
# training run has.
ACTIVATION = (128, 16, 32, 32)
SETTINGS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "SGD, Nesterov, weight decay (Table 1)": (
        torch.optim.SGD,
        {"lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    ),
    "SGD, momentum, weight decay": (torch.optim.SGD, {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}),
    "SGD, momentum": (torch.optim.SGD, {"lr": 1e-3, "momentum": 0.9}),
    "SGD": (torch.optim.SGD, {"lr": 1e-3}),
    "Adam": (torch.optim.Adam, {"lr": 1e-4}),
    "AdamW": (torch.optim.AdamW, {"lr": 1e-4}),
}
RIVALS: dict[str, dict[str, Any]] = {"default": {}, "foreach": {"foreach": True}}


@dataclass(frozen=True)
class Overhead:
    """Time of a perturbed step over that of torch's step of the same settings."""

    optimizer: str
    torch: str  # torch's own choice of kernels, or foreach=True; the perturbed optimizer is given the same option
    noise: str  # its label
    ratio: float  # median over the rounds
    quartiles: tuple[float, float]
    torch_us: float  # median time of a step, microseconds
    perturbed_us: float


def resnet56_shapes() -> list[tuple[int, ...]]:
    """Parameter shapes of CIFAR's ResNet-56: widths 16, 32, 64, nine blocks each, 1x1-conv+BN shortcuts (855,770)."""
    shapes: list[tuple[int, ...]] = [(16, 3, 3, 3), (16,), (16,)]
    inputs = 16
    for width in (16, 32, 64):
        for _ in range(9):
            shapes += [(width, inputs, 3, 3), (width,), (width,), (width, width, 3, 3), (width,), (width,)]
            if inputs != width:
                shapes += [(width, inputs, 1, 1), (width,), (width,)]
            inputs = width
    return [*shapes, (10, 64), (10,)]


def parameters() -> list[torch.nn.Parameter]:
    """Weights and gradients of the usual sizes."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator) * 0.1) for shape in resnet56_shapes()]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator) * 1e-3
    return params


def contestants(name: str, noises: list[Noise]) -> dict[tuple[str, str], Callable[[], Any]]:
    """The steps to time, by torch's kernels and noise ("" is torch's own step), each with parameters of its own."""
    cls, options = SETTINGS[name]
    steps: dict[tuple[str, str], Callable[[], Any]] = {}
    for rival, choice in RIVALS.items():
        steps[rival, ""] = cls(parameters(), **options, **choice).step
        for noise in noises:
            steps[rival, noise.label] = perturb(cls(parameters(), **options, **choice), noise).step
    return steps


def times(steps: dict[tuple[str, str], Callable[[], Any]], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Microseconds of every counted step, round by round; the order turns each round so that no one is always first."""
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    keys = list(steps)
    for round_ in range(-WARM_UP, rounds):
        turn = round_ % len(keys)
        for key in keys[turn:] + keys[:turn]:
            start = time.perf_counter()
            steps[key]()
            if round_ >= 0:
                taken[key].append((time.perf_counter() - start) * 1e6)
    return taken


def overheads(name: str, noises: list[Noise], rounds: int) -> list[Overhead]:
    """Measure one optimizer against both of torch's kernels."""
    taken = times(contestants(name, noises), rounds)
    results = []
    for rival, noise in taken:
        if noise:
            own = taken[rival, ""]
            ratios = [ours / theirs for ours, theirs in zip(taken[rival, noise], own, strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            medians = statistics.median(own), statistics.median(taken[rival, noise])
            results.append(Overhead(name, rival, noise, ratio, (low, high), *medians))
    return results


def main() -> None:
    """Measure all settings and print the table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="counted rounds (300)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, 1 as in a study's workers (1)")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3], help="divisors to measure (1 3)")
    parser.add_argument("--p", type=float, nargs="+", default=[0, 0.03, 0.5], help="probabilities (0 0.03 0.5)")
    arguments = parsed(parser, rounds=3, k=[3], p=[0.5])
    torch.set_num_threads(arguments.threads)
    torch.ones(ACTIVATION)
    noises = [*map(Scale, arguments.k), Ulp(1), *(Rounding(p, 1) for p in arguments.p)]
    results = [row for name in SETTINGS for row in overheads(name, noises, arguments.rounds)]
    write([asdict(row) for row in results], arguments.json)
    if arguments.json == "-":
        return
    print(f"{'optimizer':<38} {'torch':<8} {'noise':<9} {'ratio':>6} {'quartiles':>13} {'torch us':>9} {'ours us':>9}")
    for row in results:
        spread = f"{row.quartiles[0]:.2f} .. {row.quartiles[1]:.2f}"
        left = f"{row.optimizer:<38} {row.torch:<8} {row.noise:<9} {row.ratio:>6.2f} {spread:>13}"
        print(f"{left} {row.torch_us:>9.0f} {row.perturbed_us:>9.0f}")


if __name__ == "__main__":
    main()
