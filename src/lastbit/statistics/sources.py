"""What each source of randomness adds to a metric, from runs in which several sources vary at once.

The model is that of crossed random effects. A run at level l_j of each source j has

    y = μ + Σ_j a_j[l_j] + c[l_1, …, l_J] + e,

with independent normal terms: a_j is the main effect of source j, c the interaction of the levels, and e the last bit.
The interaction is taken as one independent draw for each combination of levels, a cell. An interaction of only two of
the sources violates this where two cells share the same two levels; in the designs of `source_design` none do.
Runs that share a cell and differ in the last bit alone tell e from c. Without them only the sum of both is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.errors import LastbitError
from lastbit.statistics.means import ROUNDING
from lastbit.statistics.quality import Quality, split_quality
from lastbit.statistics.spread import COVERAGE
from lastbit.statistics.strata import Stratum
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
class SourceQualities:
    """The spread that each source would give on an unlimited test set; None where `SourceSpreads` has none."""

    sources: Mapping[str, Quality | None]
    interaction: Quality | None
    last_bit: Quality | None
    remainder: Quality | None


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
    parts = _parts(levels, metric[:, None])
    return SourceSpreads(
        {name: _component(part) for name, part in parts.sources.items()},
        _component(parts.interaction),
        _component(parts.last_bit),
        _component(parts.remainder),
    )


def source_qualities(levels: Levels, right: NDArray[np.float64]) -> SourceQualities:
    """Split what each source gives an accuracy into the luck of the finite test set and quality.

    An estimate of a variance by `source_spreads` is a quadratic form of the metric, before it is cut at zero. The
    accuracy is the mean of the examples, so the form of the accuracy is the sum over pairs of examples, divided by n².
    The pairs of an example with itself are the luck: runs of equal quality have that variance too, for each is right on
    examples of its own (K. Jordan, arXiv 2304.01910, theorem 2). The other pairs are quality. The interval is that of
    `lastbit.statistics.excess`, which covers 95 % at a spread of zero too.

    Args:
        levels: of each source for every run, shape (runs,).
        right: whether a run is right on an example, in the metric's unit (100 or 1), shape (runs, examples), at least
            two examples; NaN for a missing run.

    Raises:
        LastbitError: a source whose levels are not one for each run.
    """
    parts = _parts(levels, right)
    return SourceQualities(
        {name: _quality(part) for name, part in parts.sources.items()},
        _quality(parts.interaction),
        _quality(parts.last_bit),
        _quality(parts.remainder),
    )


def _component(part: Sequence[Stratum]) -> Component | None:
    """The spread of one metric."""
    if not part:
        return None
    squares, dofs = [float(stratum.of_examples[0]) for stratum in part], [stratum.dof for stratum in part]
    if len(part) == 1:
        return _chi(squares[0], dofs[0])
    if part[1].weight < 0:
        return between_groups(squares[0], dofs[0], -squares[1], dofs[1], 1.0)
    return _remainder(np.array(squares), np.array(dofs))


def _quality(part: Sequence[Stratum]) -> Quality | None:
    return split_quality(part) if part else None


@dataclass(frozen=True)
class _Parts:
    """The variance by each source as a weighted sum of independent mean squares; empty where it is not known."""

    sources: Mapping[str, Sequence[Stratum]]
    interaction: Sequence[Stratum] = ()
    last_bit: Sequence[Stratum] = ()
    remainder: Sequence[Stratum] = ()


def _parts(levels: Levels, metrics: NDArray[np.float64]) -> _Parts:
    """The parts of the variance of metrics, shape (runs, metrics)."""
    for name, column in levels.items():
        if column.shape != metrics.shape[:1]:
            raise LastbitError(f"source {name!r} has {column.size} levels for {len(metrics)} runs; it needs one a run")
    present = ~np.isnan(metrics).any(1)
    if not present.any():
        return _Parts(dict.fromkeys(levels, ()))
    y = metrics[present] - metrics[present][0]  # so that equal metrics give exactly 0
    least = ROUNDING * np.abs(metrics[present]).max(0)  # deviations up to here are rounding of such numbers and sums
    table = np.stack([column[present] for column in levels.values()], axis=1)
    cells, place, sizes = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    means = np.zeros((len(cells), y.shape[1]))
    np.add.at(means, place.ravel(), y)
    means /= sizes[:, None]
    effects = [(column[:, None] == np.unique(column)).astype(np.float64) for column in cells.T]
    left = _left_by([*effects, np.ones((len(cells), 1))])
    of_cells = Stratum(_beyond(left @ means, least), float(len(cells) - _rank_left(left)), 1.0)
    pure = Stratum(_beyond(y - means[place.ravel()], least), float(len(y) - len(cells)), 1.0)
    size = float(len(cells) / np.sum(1 / sizes))  # runs for each mean: harmonic mean
    # What a cell's mean has without main effects; a single source has no interaction.
    error = pure._replace(weight=1 / size) if len(levels) == 1 else of_cells
    main = {
        name: _main(effects[at], effects[:at] + effects[at + 1 :], means, error, least) if error.dof else ()
        for at, name in enumerate(levels)
    }
    last_bit = [pure] if pure.dof else []
    if len(levels) == 1:
        return _Parts(main, (), last_bit, last_bit)
    if not of_cells.dof:
        return _Parts(main, (), last_bit)
    if not last_bit:
        return _Parts(main, remainder=[of_cells])
    interaction = [of_cells, pure._replace(weight=-1 / size)]
    return _Parts(main, interaction, last_bit, [of_cells, pure._replace(weight=1 - 1 / size)])


def _beyond(deviations: NDArray[np.float64], least: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviations, shape (n, metrics), with 0 for those that rounding explains: equal sums leave 0, and not 3e-16."""
    return np.where(np.abs(deviations) <= least, 0.0, deviations)


def _left_by(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The projection onto what the columns do not explain."""
    joined = np.concatenate(columns, axis=1)
    return np.eye(len(joined)) - joined @ np.linalg.pinv(joined, rcond=_ZERO)


def _rank_left(projection: NDArray[np.float64]) -> int:
    """The rank of what a projection leaves out: its order less its trace."""
    return len(projection) - round(float(np.trace(projection)))


def _main(
    own: NDArray[np.float64],
    others: list[NDArray[np.float64]],
    means: NDArray[np.float64],
    error: Stratum,
    least: NDArray[np.float64],
) -> Sequence[Stratum]:
    """The variance by one source, from its contrasts that are free of all other sources.

    A contrast with eigenvalue λ has variance λσ² + error. The mean square holds their harmonic mean times σ².
    """
    left = _left_by([*others, np.ones((len(means), 1))])
    eigenvalues, vectors = np.linalg.eigh(own.T @ left @ own)
    free = eigenvalues > _ZERO
    if not free.any():
        return ()
    values = eigenvalues[free]
    contrasts = vectors[:, free].T @ own.T @ left @ means
    harmonic = float(len(values) / np.sum(1 / values))
    deviations = np.sqrt(harmonic) * _beyond(contrasts / values[:, None], least)
    return [
        Stratum(deviations, float(len(values)), 1 / harmonic),
        error._replace(weight=-error.weight / harmonic),
    ]


def _chi(square: float, dof: float) -> Component:
    """The root of a mean square, with its chi-square interval."""
    lower, upper = (float(np.sqrt(dof * square / special.chdtri(dof, tail))) for tail in (_TAIL, 1 - _TAIL))
    return Component(float(np.sqrt(square)), lower, upper)


def _remainder(parts: NDArray[np.float64], dofs: NDArray[np.float64]) -> Component:
    """Interaction and last bit of a single run, with Satterthwaite's degrees of freedom for the sum of the two."""
    total = float(parts.sum())
    return _chi(total, total**2 / float(np.sum(parts**2 / dofs)) if total > 0 else float(dofs[0]))
