"""What each source of randomness adds to a metric, from runs in which several sources vary at once.

The model is that of crossed random effects. A run at level l_j of each source j has

    y = μ + Σ_j a_j[l_j] + c[l_1, …, l_J] + e,

with independent normal terms: a_j is the main effect of source j, c the interaction of the levels, and e the last bit.
The interaction is taken as one independent draw for each combination of levels, a cell. An interaction of only two of
the sources violates this where two cells share the same two levels; in the designs of `source_design` none do.
Runs that share a cell and differ in the last bit alone tell e from c. Without them only the sum of both is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.errors import LastbitError
from lastbit.statistics.spread import COVERAGE
from lastbit.statistics.variance import Component, between_groups

_TAIL = (1 - COVERAGE) / 2
_ZERO = 1e-8  # eigenvalues below it belong to contrasts that other sources hide; those that count are near 1 or above


Levels = Mapping[str, NDArray[np.int64]]  # source -> its level in every run, shape (runs,)


@dataclass(frozen=True)
class SourceSpreads:
    """The standard deviation that each source gives the metric, with 95 % intervals, in the metric's unit."""

    sources: Mapping[str, Component | None]  # main effects; None where the other sources hide it
    interaction: Component | None  # of the sources; None without repeated cells
    last_bit: Component | None  # None without repeated cells
    remainder: Component | None  # interaction and last bit together, for a single run; None where no run is left for it


@dataclass(frozen=True)
class SourceLucks:
    """The part of `SourceSpreads` that the finite test set gives by itself: standard deviations, in the same unit."""

    sources: Mapping[str, float | None]
    interaction: float | None
    last_bit: float | None
    remainder: float | None


def source_spreads(levels: Levels, metric: NDArray[np.float64]) -> SourceSpreads:
    """Estimate the spread that each source gives the metric.

    The means of the cells are fitted with all main effects. The mean squares of a source, adjusted for all others, are
    weighted as Thomas and Hultquist (1978, Annals of Statistics 6) do, by the inverse of what they hold of the source's
    variance; the interval is Tukey's and Williams' on them. In an orthogonal design this is the analysis of variance.
    Where some cells are repeated and others are not, the means differ in their error, which is taken as equal. A single
    source has no interaction: its variance is that between its levels less that of the repeats.

    Args:
        levels: of each source for every run, shape (runs,).
        metric: of every run, shape (runs,); NaN for a missing run, which is left out.

    Raises:
        LastbitError: a source whose levels are not one for each run.
    """
    squares = _squares(levels, metric[:, None])
    if squares is None:
        return SourceSpreads(dict.fromkeys(levels), None, None, None)
    error, dof_error = squares.error
    pure, dof_pure, size = float(squares.pure[0]), squares.dof_pure, squares.size
    main = {
        name: None
        if part is None or not dof_error
        else between_groups(float(part.square[0]), part.dof, float(error[0]), dof_error, part.size)
        for name, part in squares.sources.items()
    }
    if len(levels) == 1:
        alone = _chi(pure, dof_pure) if dof_pure else None
        return SourceSpreads(main, None, alone, alone)
    square, dof = float(squares.cells[0]), squares.dof_cells
    if not dof_pure:
        return SourceSpreads(main, None, None, _chi(square, dof) if dof else None)
    interaction = between_groups(size * square, dof, pure, dof_pure, size) if dof else None
    return SourceSpreads(main, interaction, _chi(pure, dof_pure), _remainder(square, dof, pure, dof_pure, size))


def source_lucks(levels: Levels, right: NDArray[np.float64]) -> SourceLucks:
    """How far independent errors on the finite test set would set runs apart by each source.

    An estimate of a variance by `source_spreads` is a quadratic form of the metric, before it is cut at zero. The
    accuracy is the mean of the examples, so the form of the accuracy is the sum over pairs of examples, divided by n².
    The pairs of an example with itself are the luck: runs of equal quality have that variance too, for each is right on
    examples of its own (K. Jordan, arXiv 2304.01910, theorem 2). The other pairs are quality.

    Args:
        levels: of each source for every run, shape (runs,).
        right: whether a run is right on an example, in the metric's unit (100 or 1), shape (runs, examples); NaN for a
            missing run.
    """
    squares = _squares(levels, right)
    if squares is None:
        return SourceLucks(dict.fromkeys(levels), None, None, None)
    examples = right.shape[1]

    def root(of_examples: NDArray[np.float64]) -> float:
        """Of the sum of the examples' variances."""
        return float(np.sqrt(max(0.0, of_examples.sum())) / examples)

    error, dof_error = squares.error
    main = {
        name: None if part is None or not dof_error else root((part.square - error) / part.size)
        for name, part in squares.sources.items()
    }
    pure, known = squares.pure, squares.dof_pure > 0
    last_bit = root(pure) if known else None
    if len(levels) == 1 or not squares.dof_cells:
        return SourceLucks(main, None, last_bit, last_bit if len(levels) == 1 else None)
    interaction = root(squares.cells - pure / squares.size) if known else None
    return SourceLucks(main, interaction, last_bit, root(squares.cells + (1 - 1 / squares.size) * pure))


@dataclass(frozen=True)
class _MainSquare:
    """What the contrasts of a source that are free of all others hold: a mean square of size · σ² + error."""

    square: NDArray[np.float64]  # (metrics,)
    dof: int
    size: float  # harmonic mean of what each contrast holds of the source's variance


@dataclass(frozen=True)
class _Squares:
    """The mean squares of one metric or many, shape (metrics,)."""

    sources: Mapping[str, _MainSquare | None]  # None where the other sources hide it
    cells: NDArray[np.float64]  # of the cells' means about all main effects; 0 without degrees of freedom
    dof_cells: int
    pure: NDArray[np.float64]  # of repeats about their cell's mean
    dof_pure: int
    size: float  # runs for each mean: harmonic mean

    @property
    def error(self) -> tuple[NDArray[np.float64], int]:
        """The mean square that a cell's mean has without main effects, and its degrees of freedom."""
        return (self.pure / self.size, self.dof_pure) if len(self.sources) == 1 else (self.cells, self.dof_cells)


def _squares(levels: Levels, metrics: NDArray[np.float64]) -> _Squares | None:
    """The mean squares of metrics, shape (runs, metrics); None without any run."""
    for name, column in levels.items():
        if column.shape != metrics.shape[:1]:
            raise LastbitError(f"source {name!r} has {column.size} levels for {len(metrics)} runs; it needs one a run")
    present = ~np.isnan(metrics).any(1)
    if not present.any():
        return None
    y = metrics[present] - metrics[present][0]  # so that equal metrics give exactly 0
    table = np.stack([column[present] for column in levels.values()], axis=1)
    cells, place, sizes = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    means = np.zeros((len(cells), y.shape[1]))
    np.add.at(means, place.ravel(), y)
    means /= sizes[:, None]
    effects = [(column[:, None] == np.unique(column)).astype(np.float64) for column in cells.T]
    left = _left_by([*effects, np.ones((len(cells), 1))])
    dof, dof_pure = len(cells) - _rank_left(left), len(y) - len(cells)
    return _Squares(
        sources={
            name: _main_square(effects[at], effects[:at] + effects[at + 1 :], means) for at, name in enumerate(levels)
        },
        cells=np.sum((left @ means) ** 2, 0) / max(dof, 1),
        dof_cells=dof,
        pure=np.sum((y - means[place.ravel()]) ** 2, 0) / max(dof_pure, 1),
        dof_pure=dof_pure,
        size=float(len(cells) / np.sum(1 / sizes)),
    )


def _left_by(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The projection onto what the columns do not explain."""
    joined = np.concatenate(columns, axis=1)
    return np.eye(len(joined)) - joined @ np.linalg.pinv(joined, rcond=_ZERO)


def _rank_left(projection: NDArray[np.float64]) -> int:
    """The rank of what a projection leaves out: its order less its trace."""
    return len(projection) - round(float(np.trace(projection)))


def _main_square(
    own: NDArray[np.float64], others: list[NDArray[np.float64]], means: NDArray[np.float64]
) -> _MainSquare | None:
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
    return _MainSquare(harmonic * np.mean((contrasts / values[:, None]) ** 2, 0), len(values), harmonic)


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
