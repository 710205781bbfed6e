"""Sharpness tracked along one edge-of-stability training, beside scipy's eigsh and peers from PyPI.

The training is full-batch gradient descent at lr 0.05 with cross-entropy on the first 5,000 CIFAR-10 images,
standardised per pixel, of a tanh network 3072-200-200-10 in float32. Two stretches are tracked: consecutive steps,
then every tenth. Errors are against scipy's eigsh on the Hessian in float64, from the last reference's eigenvectors and
a random direction. Contestants other than the tracker are timed at a few steps spread over the first stretch, each
beside the tracker's own measurement at those weights; a contestant that takes a warm start is given its vector of the
step before. Peers are taken from the environment:

    pip install PyHessian hessian-eigenthings curvlinops-for-pytorch stable-solvers
    python benchmarks/sharpness.py [--consecutive 200] [--sparse 30] [--references 10] [--rounds 8] [--smoke]
                                   [--json FILE]
"""

from __future__ import annotations

import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from lastbit.curvature import HessianOperator, SharpnessRow, SharpnessTracker
from lastbit.training.data import load
from options import parsed, parser_of, write

LR = 0.05
ROUNDING = 5e-5  # of float32 products, relative to the largest eigenvalue: twice the largest seen
LOSS = nn.CrossEntropyLoss()
Batch = tuple[Tensor, Tensor]
# A measurement: value, products if it counts them, vector to start the next from.
Measured = tuple[float, int | None, Any]


@dataclass(frozen=True)
class Point:
    """One measurement of the tracker."""

    step: int
    value: float
    residual: float
    upper: float
    matvecs: int
    seconds: float
    error: float | None  # relative to the float64 reference, where one was computed
    violated: bool | None  # whether the reference lies outside [lower, upper] by more than rounding


@dataclass(frozen=True)
class Contest:
    """A contestant at the timed points."""

    name: str
    worst_error: float  # relative to the tracker's value: below 1e-3 the two cannot be told apart
    seconds: float  # median
    ratio: float  # median of its time over the tracker's at the same weights
    matvecs: float | None  # median


def cifar() -> Batch:
    """The first 5,000 training images, flat and standardised per pixel."""
    data = load("cifar10-5k")
    images = data.train_images.flatten(1).float()
    return (images - images.mean(0)) / images.std(0), data.train_labels.long()


def invented() -> Batch:
    """A few small images of noise, for a machine without CIFAR-10."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 48, generator=generator), torch.randint(10, (20,), generator=generator)


def network(inputs: int) -> nn.Sequential:
    """The tanh network, from torch's own initialisation at seed 0."""
    torch.manual_seed(0)
    layers = nn.Linear(inputs, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 10)
    return nn.Sequential(*layers)


def descend(model: nn.Module, batch: Batch, steps: int) -> None:
    """Gradient descent."""
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    for _ in range(steps):
        optimizer.zero_grad()
        LOSS(model(batch[0]), batch[1]).backward()
        optimizer.step()
    optimizer.zero_grad()


class References:
    """Largest eigenvalues in float64, found from the last one's eigenvectors with a random direction mixed in."""

    def __init__(self) -> None:
        self._start: Any = 0.0

    def at(self, model: nn.Module, batch: Batch, step: int) -> float:
        """The largest eigenvalue at the present weights, to about residual^2 / gap < 1e-5."""
        linear = HessianOperator(model, LOSS, batch, dtype=torch.float64).as_linear_operator()
        drawn = np.random.default_rng(step).standard_normal(linear.shape[0])
        start = self._start + 0.3 * drawn / np.linalg.norm(drawn)
        values, vectors = eigsh(linear, k=2, which="LA", v0=start, tol=2e-3, ncv=10)
        self._start = vectors.sum(1) / math.sqrt(2)
        return float(values.max())


def tracked(model: nn.Module, batch: Batch, steps: range, references: int, race: Race | None = None) -> Iterator[Point]:
    """The tracker along a stretch of training, with references and the race's rounds spread evenly over it."""
    tracker, exact_at = SharpnessTracker(model, LOSS, batch), References()
    checked = set(np.linspace(0, len(steps) - 1, references).round().astype(int).tolist())
    timed = set() if race is None else set(np.linspace(5, len(steps) - 1, race.rounds).round().astype(int).tolist())
    for index, step in enumerate(steps):
        result = tracker.measure()
        if race is not None and (index in timed or index + 1 in timed):
            race.run(model, batch, result, timed=index in timed)
        exact = exact_at.at(model, batch, step) if index in checked else None
        error = None if exact is None else result.sharpness / exact - 1
        slack = None if exact is None else ROUNDING * exact
        violated = None if exact is None else not result.lower - slack <= exact <= result.upper + slack
        yield Point(
            step, result.sharpness, result.residual, result.upper, result.matvecs, result.seconds, error, violated
        )
        descend(model, batch, steps.step)


def counted(product: Callable[[Any], Any], size: int) -> tuple[LinearOperator, list[int]]:
    """A scipy operator in float32 that counts its products."""
    calls = [0]

    def multiply(vector: Any) -> Any:
        calls[0] += 1
        return product(vector.reshape(-1))

    return LinearOperator((size, size), matvec=multiply, dtype=np.float32), calls


def rebuilt_product(model: nn.Module, batch: Batch) -> Callable[[Any], Any]:
    """A Hessian-vector product as it is commonly written: the graph anew for each."""
    weights = list(model.parameters())
    sizes = [w.numel() for w in weights]

    def product(vector: Any) -> Any:
        parts = [p.reshape(w.shape) for p, w in zip(torch.as_tensor(vector).split(sizes), weights, strict=True)]
        slopes = torch.autograd.grad(LOSS(model(batch[0]), batch[1]), weights, create_graph=True)
        return torch.cat([x.reshape(-1) for x in torch.autograd.grad(slopes, weights, parts)]).numpy()

    return product


def by_eigsh(product: Callable[[Any], Any], size: int, **options: Any) -> Measured:
    """The largest eigenvalue by scipy's eigsh."""
    operator, calls = counted(product, size)
    values, vectors = eigsh(operator, k=1, which="LA", **options)
    return float(values[0]), calls[0], vectors[:, 0]


def eigsh_defaults(model: nn.Module, batch: Batch, _: Any) -> Measured:
    """Scipy's eigsh as it comes, which goes on to machine precision."""
    return by_eigsh(rebuilt_product(model, batch), size_of(model))


def eigsh_warm(model: nn.Module, batch: Batch, start: Any) -> Measured:
    """Scipy's eigsh at its best: from the last vector, to a tolerance, with a small basis."""
    return by_eigsh(rebuilt_product(model, batch), size_of(model), v0=start, tol=1e-3, ncv=6)


def size_of(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in model.parameters())


def pyhessian_defaults(model: nn.Module, batch: Batch, _: Any) -> Measured:
    """PyHessian's power iteration: largest modulus, from a random start."""
    from pyhessian import hessian

    with warnings.catch_warnings():  # of a cycle that its backward(create_graph=True) leaves
        warnings.simplefilter("ignore")
        value = hessian(model, LOSS, data=batch, cuda=False).eigenvalues()[0][0]
    model.zero_grad()
    return float(value), None, None


def eigenthings(model: nn.Module, batch: Batch, **options: Any) -> Measured:
    """Lanczos of hessian-eigenthings."""
    from hessian_eigenthings import HessianOperator as Theirs
    from hessian_eigenthings import lanczos, supervised_loss

    result = lanczos(Theirs(model, [batch], supervised_loss(LOSS)), k=1, **options)
    return float(result.eigenvalues[0]), None, None


def eigenthings_defaults(model: nn.Module, batch: Batch, _: Any) -> Measured:
    """As it comes: two steps."""
    return eigenthings(model, batch)


def eigenthings_longer(model: nn.Module, batch: Batch, _: Any) -> Measured:
    """With as many steps as the tolerance takes here; it takes no start."""
    return eigenthings(model, batch, max_iter=14, which="LA")


def curvlinops_eigsh(model: nn.Module, batch: Batch, start: Any) -> Measured:
    """Eigsh on the operator of curvlinops."""
    from curvlinops import HessianLinearOperator

    operator = HessianLinearOperator(model, LOSS, list(model.parameters()), [batch], check_deterministic=False)
    linear = operator.to_scipy(dtype=np.float32)
    options = {} if start is None else {"v0": start}
    return by_eigsh(linear.matvec, size_of(model), tol=1e-3, ncv=6, **options)


def stable_solvers_warm(model: nn.Module, batch: Batch, start: Any) -> Measured:
    """Power iteration of stable-solvers, which takes a warm start."""
    from stable_solvers.eigen import power_iteration_method

    product = rebuilt_product(model, batch)
    calls = [0]

    class Columns:
        """What its power iteration asks of an operator."""

        dim, device, dtype = size_of(model), torch.device("cpu"), torch.float32

        def init(self, n_dim: int = 1) -> Tensor:
            return torch.randn(self.dim, n_dim)

        def __call__(self, matrix: Tensor) -> Tensor:
            calls[0] += 1
            return torch.as_tensor(product(matrix[:, 0].numpy()))[:, None]

    values, vectors = power_iteration_method(Columns(), init_eigvecs=start, max_iters=300)
    return abs(float(values[0])), calls[0], vectors / vectors.norm()


CONTESTANTS: dict[str, tuple[str, Callable[[nn.Module, Batch, Any], Measured]]] = {
    "scipy eigsh, defaults": ("scipy", eigsh_defaults),
    "scipy eigsh, warm, tol 1e-3, ncv 6": ("scipy", eigsh_warm),
    "PyHessian, defaults": ("pyhessian", pyhessian_defaults),
    "hessian-eigenthings lanczos, defaults": ("hessian_eigenthings", eigenthings_defaults),
    "hessian-eigenthings lanczos, 14 steps": ("hessian_eigenthings", eigenthings_longer),
    "curvlinops + eigsh, warm, tol 1e-3, ncv 6": ("curvlinops", curvlinops_eigsh),
    "stable-solvers power iteration, warm": ("stable_solvers", stable_solvers_warm),
}


def available(module: str) -> bool:
    """Whether a peer can be imported."""
    try:
        __import__(module)
    except ImportError:
        return False
    return True


class Race:
    """The contestants that are installed here, and what they took at the timed points."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.names = [name for name, (module, _) in CONTESTANTS.items() if available(module)]
        self._rows: dict[str, list[tuple[float, float, float, int | None]]] = {name: [] for name in self.names}
        self._starts: dict[str, Any] = dict.fromkeys(self.names)

    def run(self, model: nn.Module, batch: Batch, own: SharpnessRow, *, timed: bool) -> None:
        """Every contestant at the present weights; untimed it only finds its start for the next step."""
        for name in self.names:
            started = time.perf_counter()
            value, matvecs, self._starts[name] = CONTESTANTS[name][1](model, batch, self._starts[name])
            seconds = time.perf_counter() - started
            if timed:
                self._rows[name].append((abs(value / own.sharpness - 1), seconds, seconds / own.seconds, matvecs))

    def contests(self) -> list[Contest]:
        """What each came to."""
        return [contest(name, rows) for name, rows in self._rows.items()]


def contest(name: str, rows: list[tuple[float, float, float, int | None]]) -> Contest:
    """What a contestant's timed points came to."""
    errors, seconds, ratios, matvecs = zip(*rows, strict=True)
    counts = [count for count in matvecs if count is not None]
    middle = statistics.median(counts) if counts else None
    return Contest(name, max(errors), statistics.median(seconds), statistics.median(ratios), middle)


def summary(name: str, points: list[Point]) -> str:
    """What a stretch came to, the cold first measurement aside."""
    warm = sorted(point.matvecs for point in points[1:])
    errors = [abs(point.error) for point in points if point.error is not None]
    violations = sum(bool(point.violated) for point in points)
    quantiles = [warm[round(q * (len(warm) - 1))] for q in (0.25, 0.5, 0.75, 0.9, 1)]
    seconds = statistics.median(point.seconds for point in points)
    residual = max(point.residual / point.value for point in points)
    bound = max(point.upper / point.value - 1 for point in points)
    return (
        f"{name}: {len(points)} measurements; products: quartiles {quantiles[:3]}, 90 % {quantiles[3]},"
        f" most {quantiles[4]},"
        f" mean {statistics.mean(warm):.2f}, first {points[0].matvecs}; median {seconds:.2f} s;"
        f"\n  worst residual {residual:.1e}, worst bound {bound:.1e}; worst error against {len(errors)} references"
        f" {max(errors, default=float('nan')):.1e}; certificates violated: {violations}"
    )


def main() -> None:
    """Run it all and print it."""
    parser = parser_of(__doc__)
    parser.add_argument("--consecutive", type=int, default=200, help="consecutive steps tracked")
    parser.add_argument("--sparse", type=int, default=30, help="points tracked at every tenth step after them")
    parser.add_argument("--references", type=int, default=10, help="points of each stretch with a float64 reference")
    parser.add_argument("--rounds", type=int, default=8, help="timed points of the other contestants")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--first", type=int, default=300, help="step at which tracking begins")
    options = parsed(parser, first=3, consecutive=7, sparse=2, references=1, rounds=1)
    torch.set_num_threads(options.threads)
    batch = invented() if options.smoke else cifar()
    model = network(batch[0].shape[1])
    descend(model, batch, options.first)
    last = options.first + options.consecutive
    race = Race(options.rounds)
    dense = list(tracked(model, batch, range(options.first, last), options.references, race))
    print(summary("every step", dense), flush=True)
    raced = race.contests()
    for row in raced:
        measured = f"error {row.worst_error:.1e}  {row.seconds:6.2f} s  {row.ratio:5.1f}x  products {row.matvecs}"
        print(f"{row.name:45} {measured}")
    for name, (module, _) in CONTESTANTS.items():
        if not available(module):
            print(f"{name}: {module} is not installed here", file=sys.stderr)
    sys.stdout.flush()
    sparse = list(tracked(model, batch, range(last, last + 10 * options.sparse, 10), options.references))
    print(summary("every tenth", sparse), flush=True)
    parts = {"every_step": dense, "every_tenth": sparse, "contests": raced}
    write({key: [asdict(row) for row in rows] for key, rows in parts.items()}, options.json)


if __name__ == "__main__":
    main()
