"""How often a sharpness bound is violated, over thousands of sequences of matrices whose eigenvalues are known.

Each sequence changes from one measurement to the next as training does in its calm and its violent stretches, or as
unkindly as a sequence can. A bound is violated where the largest eigenvalue lies above `upper` (or below `lower`) by
more than rounding. `missed` are those where another eigenvalue passed the tracked one unseen, which only a random probe
can notice; the others are failures of the ceiling (see `lastbit.curvature.eigenpairs`).

    python benchmarks/certificates.py [--sequences 100] [--size 120] [--smoke] [--json FILE]
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from lastbit.curvature.search import WarmSearch
from lastbit.curvature.subspace import Counted
from options import parsed, parser_of, write

STEPS, TOL = 30, 1e-3


@dataclass(frozen=True)
class Count:
    """What the sequences of one kind came to."""

    measurements: int
    violated: int
    missed: int  # of these: a larger eigenvalue than the one nearest to the value
    worst: float  # relative error
    products: float  # median


def rotation(size: int, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix."""
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


def turned(basis: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """The basis turned a little in a random way."""
    skew = torch.randn(len(basis), len(basis), generator=generator, dtype=torch.float64)
    angle = amount * (skew - skew.T) / len(basis) ** 0.5
    return torch.matrix_exp(angle) @ basis


def spectrum(size: int, cluster: int) -> Tensor:
    """A network's: a cluster at the top, a tail that falls off, a few negative ones."""
    tail = 0.5 * 0.93 ** torch.arange(size - cluster, dtype=torch.float64)
    values = torch.cat([torch.linspace(1, 0.9, cluster, dtype=torch.float64), tail])
    values[-10:] = -0.1
    return 40 * values


def gliding(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Slow drift of a clustered spectrum and its eigenvectors."""
    values, basis = spectrum(size, 3), rotation(size, generator)
    for step in range(STEPS):
        yield (basis * (values * (1 + 0.003 * step))) @ basis.T
        basis = turned(basis, 0.003, generator)


def alternating(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Jumps between two sides of a valley, as gradient descent past its edge."""
    values, basis = spectrum(size, 4), rotation(size, generator)
    sides = (basis, turned(basis, 0.03, generator))
    for step in range(STEPS):
        yield (sides[step % 2] * (values * (1 - 0.1 * (step % 2)))) @ sides[step % 2].T
        sides = turned(sides[0], 0.003, generator), turned(sides[1], 0.003, generator)


def rising(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """A direction from the tail rises to anywhere below the top at once and leaks into the top eigenvector."""
    values, basis = spectrum(size, 1), rotation(size, generator)
    for step in range(STEPS):
        yield (basis * values) @ basis.T
        index = int(torch.randint(1, size, (), generator=generator))
        values = spectrum(size, 1)
        values[index] = 40 * float(torch.rand((), generator=generator, dtype=torch.float64))
        angle = torch.tensor(0.1 * float(torch.rand((), generator=generator, dtype=torch.float64)))
        first, other = basis[:, 0].clone(), basis[:, index].clone()
        basis = basis.clone()
        basis[:, 0], basis[:, index] = (
            angle.cos() * first - angle.sin() * other,
            angle.sin() * first + angle.cos() * other,
        )
        basis = turned(basis, 0.001 * (step % 3), generator)


def crossing(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The second eigenvalue rises past the first by 1 % a measurement, eigenvectors turning slowly."""
    values, basis = spectrum(size, 2), rotation(size, generator)
    for step in range(STEPS):
        values[1] = 36 * 1.01**step
        yield (basis * values) @ basis.T
        basis = turned(basis, 0.002, generator)


def overtaken(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """On both sides of a valley in turn the second eigenvalue rises past the first by 1 % a measurement."""
    values, basis = spectrum(size, 2), rotation(size, generator)
    sides = basis, turned(basis, 0.3, generator)
    for step in range(STEPS):
        values[1] = 34 * 1.01**step
        yield (sides[step % 2] * values) @ sides[step % 2].T
        sides = turned(sides[0], 0.01, generator), turned(sides[1], 0.01, generator)


def violent(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """A tenth of the matrix is another one at every measurement."""
    values, basis = spectrum(size, 3), rotation(size, generator)
    for _ in range(STEPS):
        other = rotation(size, generator)
        yield 0.9 * (basis * values) @ basis.T + 0.1 * (other * values) @ other.T


KINDS: dict[str, Callable[[int, torch.Generator], Iterator[Tensor]]] = {
    "gliding": gliding,
    "alternating": alternating,
    "rising": rising,
    "crossing": crossing,
    "overtaken": overtaken,
    "violent": violent,
}


def count(kind: str, sequences: int, size: int) -> Count:
    """Follow sequences of one kind with a tracker's search; a probe at every ninth measurement."""
    products, errors, violated, missed = [], [], 0, 0
    for seed in range(sequences):
        generator = torch.Generator().manual_seed(seed)
        search = WarmSearch(1, TOL, 200, torch.Generator().manual_seed(seed))
        for step, matrix in enumerate(KINDS[kind](size, generator)):
            operator, exact = Counted((matrix + matrix.T) / 2), torch.linalg.eigvalsh(matrix)
            found = search.largest(operator, probe=step % 9 == 0)
            value, upper, top = float(found.pairs.ritz.values[0]), float(found.pairs.uppers[0]), float(exact[-1])
            outside = not value - 1e-9 * top <= top <= upper + 1e-9 * top
            violated += outside
            missed += outside and abs(float(exact[-2]) - value) < abs(top - value)
            errors.append(abs(value / top - 1))
            products.append(operator.products - found.probed)
    return Count(len(errors), violated, missed, max(errors), statistics.median(products))


def main() -> None:
    """Count and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--sequences", type=int, default=100, help="of each kind")
    parser.add_argument("--size", type=int, default=120, help="rows of the matrices")
    options = parsed(parser, sequences=2, size=40)
    torch.set_num_threads(1)
    counts = {}
    for kind in KINDS:
        counts[kind] = found = count(kind, options.sequences, options.size)
        print(
            f"{kind:12} {found.measurements} measurements, {found.violated} violated ({found.missed} missed), "
            f"worst error {found.worst:.1e}, products {found.products}",
            flush=True,
        )
    write({kind: asdict(found) for kind, found in counts.items()}, options.json)


if __name__ == "__main__":
    main()
