"""What each source of randomness adds to a metric, from runs in which several sources vary at once.

The model is that of crossed random effects. A run at level l_j of each source j has

    y = μ + Σ_j a_j[l_j] + c[l_1, …, l_J] + e,

with independent normal terms: a_j is the main effect of source j, c the interaction of the levels, and e the last bit.
The interaction is taken as one independent draw for each combination of levels, a cell. An interaction of only two of
the sources violates this where two cells share the same two levels; in the designs of `design_sources` none do.
Runs that share a cell and differ in the last bit alone tell e from c. Without them only the sum of both is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.errors import LastbitError
from lastbit.statistics.spread import COVERAGE
from lastbit.statistics.variance import Component, between_groups

_PRIMES = (2, 3, 5, 7, 11, 13)
_REPEATED = 4  # one run in so many repeats a cell with another last bit
_TAIL = (1 - COVERAGE) / 2
_ZERO = 1e-8  # eigenvalues below it belong to contrasts that other sources hide; those that count are near 1 or above


@dataclass(frozen=True)
class SourceSpreads:
    """The standard deviation that each source gives the metric, with 95 % intervals, in the metric's unit."""

    sources: Mapping[str, Component | None]  # main effects; None where the other sources hide it
    interaction: Component | None  # of the sources; None without repeated cells
    last_bit: Component | None  # None without repeated cells
    remainder: Component | None  # interaction and last bit together, for a single run; None where no run is left for it


def design_sources(sources: Sequence[str], runs: int, *, repeats: int | None = None) -> dict[str, NDArray[np.int64]]:
    """Choose which level of each source every run takes, so that few runs tell all sources apart.

    With a prime number L of levels, cell (u, v) has level (u + j v) mod L of source j: rows of Latin squares,
    in which two levels of different sources meet at most once (Bose 1938). The design uses as many levels as leave the
    interaction no fewer degrees of freedom than a source has. Of the rows v it uses those whose largest Fourier
    coefficient is the least, which keeps the sources closest to orthogonal.

    Args:
        sources: their names, without the last bit.
        runs: in all.
        repeats: how many of the runs repeat a cell with another last bit; a quarter of them by default.

    Returns:
        For each source the level of every run, shape (runs,). Repeats come last, at most one for each cell.

    Raises:
        LastbitError: no source, a name twice, or too few runs.
    """
    if not sources or len(set(sources)) < len(sources):
        raise LastbitError(f"sources must be one or more different names, got {', '.join(sources) or 'none'}")
    again = runs // _REPEATED if repeats is None else repeats
    cells = runs - again
    fits = [prime for prime in _PRIMES if _fits(prime, len(sources), cells)]
    if not fits or not 0 <= again <= cells:
        raise LastbitError(
            f"{runs} runs of which {again} repeat another are no design for {len(sources)} sources: repeats may "
            "be from 0 to half of the runs, and the others must be enough for two levels or more of every source"
        )
    levels = fits[-1]
    cell = np.arange(cells)
    v = np.array(_flattest_rows(levels, -(-cells // levels)))[cell // levels]
    order = np.concatenate([cell, np.arange(again) * cells // max(again, 1)])
    return {name: ((cell + place * v) % levels)[order] for place, name in enumerate(sources)}


def source_spreads(levels: Mapping[str, NDArray[np.int64]], metric: NDArray[np.float64]) -> SourceSpreads:
    """Estimate the spread that each source gives the metric.

    The means of the cells are fitted with all main effects. The mean squares of a source, adjusted for all others, are
    weighted as Thomas and Hultquist (1978, Annals of Statistics 6) do, by the inverse of what they hold of the source's
    variance; the interval is Tukey's and Williams' on them. In an orthogonal design this is the analysis of variance.
    Where some cells are repeated and others are not, the means differ in their error, which is taken as equal.

    Args:
        levels: of each source for every run, shape (runs,).
        metric: of every run, shape (runs,); NaN for a missing run, which is left out.

    Raises:
        LastbitError: a source whose levels are not one for each run.
    """
    for name, column in levels.items():
        if column.shape != metric.shape:
            raise LastbitError(f"source {name!r} has {column.size} levels for {metric.size} runs; it needs one a run")
    present = ~np.isnan(metric)
    if not present.any():
        return SourceSpreads(dict.fromkeys(levels), None, None, None)
    y, table = metric[present], np.stack([column[present] for column in levels.values()], axis=1)
    cells, place, sizes = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    means = np.bincount(place.ravel(), y) / sizes
    within, dof_within = float(np.sum((y - means[place.ravel()]) ** 2)), len(y) - len(cells)
    size = float(len(cells) / np.sum(1 / sizes))  # runs for each mean
    effects = [(column[:, None] == np.unique(column)).astype(np.float64) for column in cells.T]
    left = _left_by([*effects, np.ones((len(cells), 1))])
    dof = len(cells) - _rank_left(left)
    square = float(means @ left @ means) / dof if dof else 0.0
    main = {
        name: _main_effect(effects[at], effects[:at] + effects[at + 1 :], means, square, dof) if dof else None
        for at, name in enumerate(levels)
    }
    if not dof_within:
        return SourceSpreads(main, None, None, _chi(square, dof) if dof else None)
    pure = within / dof_within
    interaction = between_groups(size * square, dof, pure, dof_within, size) if dof else None
    return SourceSpreads(main, interaction, _chi(pure, dof_within), _remainder(square, dof, pure, dof_within, size))


def _fits(levels: int, sources: int, cells: int) -> bool:
    """Whether the lattice has so many cells and the interaction no fewer degrees of freedom than a source."""
    return sources <= levels and 2 * levels <= cells <= levels**2 and cells - 1 >= (sources + 1) * (levels - 1)


def _flattest_rows(levels: int, rows: int) -> tuple[int, ...]:
    """The rows whose Fourier coefficients are flattest; which pairs of sources meet changes only their order."""
    wave = np.exp(2j * np.pi * np.outer(np.arange(levels), np.arange(1, levels)) / levels)
    chosen = [(0, *others) for others in combinations(range(1, levels), rows - 1)]
    return min(chosen, key=lambda some: round(float(np.abs(wave[list(some)].sum(0)).max()), 9))


def _left_by(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The projection onto what the columns do not explain."""
    joined = np.concatenate(columns, axis=1)
    return np.eye(len(joined)) - joined @ np.linalg.pinv(joined, rcond=_ZERO)


def _rank_left(projection: NDArray[np.float64]) -> int:
    """The rank of what a projection leaves out: its order less its trace."""
    return len(projection) - round(float(np.trace(projection)))


def _main_effect(
    own: NDArray[np.float64], others: list[NDArray[np.float64]], means: NDArray[np.float64], error: float, dof: int
) -> Component | None:
    """Of one source, by its contrasts that are free of all other sources.

    A contrast with eigenvalue λ has variance λσ² + error.
    """
    left = _left_by([*others, np.ones((len(means), 1))])
    eigenvalues, vectors = np.linalg.eigh(own.T @ left @ own)
    free = eigenvalues > _ZERO
    if not free.any():
        return None
    values = eigenvalues[free]
    contrasts = vectors[:, free].T @ own.T @ left @ means
    harmonic = float(len(values) / np.sum(1 / values))
    between = harmonic * float(np.mean((contrasts / values) ** 2))
    return between_groups(between, len(values), error, dof, harmonic)


def _chi(square: float, dof: float) -> Component:
    """The root of a mean square, with its chi-square interval."""
    lower, upper = (float(np.sqrt(dof * square / special.chdtri(dof, tail))) for tail in (_TAIL, 1 - _TAIL))
    return Component(float(np.sqrt(square)), lower, upper)


def _remainder(square: float, dof: int, pure: float, dof_within: int, size: float) -> Component | None:
    """Interaction and last bit of a single run, with Satterthwaite's degrees of freedom for the sum of the two."""
    if not dof:
        return None
    parts = np.array([square, (1 - 1 / size) * pure])
    total = float(parts.sum())
    degrees = total**2 / float(np.sum(parts**2 / [dof, dof_within])) if total > 0 else float(dof)
    return _chi(total, degrees)
