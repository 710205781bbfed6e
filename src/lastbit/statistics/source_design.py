"""Which seed of each source of randomness every run takes, so that few runs tell all sources apart."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import LastbitError

_PRIMES = (2, 3, 5, 7, 11, 13)
_REPEATED = 4  # one run in so many repeats a cell with another last bit
_MOST_RUNS = 400  # up to which a design is looked for


def design_sources(sources: Sequence[str], runs: int, *, repeats: int | None = None) -> dict[str, NDArray[np.int64]]:
    """Choose which level of each source every run takes, so that few runs tell all sources apart.

    With a prime number L of levels, cell (u, v) has level (u + j v) mod L of source j: rows of Latin squares,
    in which two levels of different sources meet at most once (Bose 1938). The design uses as many levels as leave the
    interaction no fewer degrees of freedom than a source has. Of the rows v it uses those whose largest Fourier
    coefficient is the least, which keeps the sources closest to orthogonal. A single source has a level in each cell,
    and half of the runs repeat one.

    Args:
        sources: their names, without the last bit.
        runs: in all.
        repeats: how many of the runs repeat a cell with another last bit; a quarter of them by default, or where that
            is no design as many more as make it one.

    Returns:
        For each source the level of every run, shape (runs,). Repeats come last, at most one for each cell.

    Raises:
        LastbitError: no source, a name twice, or a number of runs that is no design; the message says which are.
    """
    if not sources or len(set(sources)) < len(sources):
        raise LastbitError(f"sources must be one or more different names, got {', '.join(sources) or 'none'}")
    plan = _plan(len(sources), runs, repeats)
    if plan is None:
        raise LastbitError(_no_design(len(sources), runs, repeats))
    again, levels = plan
    cells = runs - again
    cell = np.arange(cells)
    order = np.concatenate([cell, np.arange(again) * cells // max(again, 1)])
    if len(sources) == 1:
        return {sources[0]: order}
    v = np.array(_flattest_rows(levels, -(-cells // levels)))[cell // levels]
    return {name: ((cell + place * v) % levels)[order] for place, name in enumerate(sources)}


def next_design(sources: int, runs: int, *, repeats: int | None = None) -> int | None:
    """The smallest number of runs that is a design and not below a given one; None where there is none.

    Args:
        sources: how many, without the last bit.
        runs: in all, at least.
        repeats: as `design_sources` takes them.
    """
    return next((number for number in range(runs, _MOST_RUNS) if _plan(sources, number, repeats)), None)


def _plan(sources: int, runs: int, repeats: int | None) -> tuple[int, int] | None:
    """How many runs repeat a cell, and how many levels a source has; None where that is no design."""
    if sources == 1:
        again = runs // 2 if repeats is None else repeats
        return (again, runs - again) if 2 <= again <= runs - again else None
    tried = range(runs // _REPEATED, runs // 2 + 1) if repeats is None else [repeats]
    for again in tried:
        fits = [prime for prime in _PRIMES if _fits(prime, sources, runs - again)]
        if fits and 0 <= again <= runs - again:
            return again, fits[-1]
    return None


def _no_design(sources: int, runs: int, repeats: int | None) -> str:
    """Why, and which numbers of runs are designs."""
    again = "" if repeats is None else f" of which {repeats} repeat another" if repeats else " without repeats"
    of = f"{runs} run{'' if runs == 1 else 's'}{again} {'is' if runs == 1 else 'are'}"
    what = f"{of} no design for {sources} source{'s' if sources > 1 else ''}"
    more = next_design(sources, max(runs + 1, 1), repeats=repeats)
    fewer = next((n for n in range(runs - 1, 0, -1) if _plan(sources, n, repeats)), None)
    if fewer is None:
        return f"{what}: there is none" if more is None else f"{what}: at least {more} are needed"
    return f"{what}: take {fewer}" if more is None else f"{what}: take {fewer} or {more}"


def _fits(levels: int, sources: int, cells: int) -> bool:
    """Whether the lattice has so many cells and the interaction no fewer degrees of freedom than a source."""
    return sources <= levels and 2 * levels <= cells <= levels**2 and cells - 1 >= (sources + 1) * (levels - 1)


def _flattest_rows(levels: int, rows: int) -> tuple[int, ...]:
    """The rows whose Fourier coefficients are flattest; which pairs of sources meet changes only their order."""
    wave = np.exp(2j * np.pi * np.outer(np.arange(levels), np.arange(1, levels)) / levels)
    chosen = [(0, *others) for others in combinations(range(1, levels), rows - 1)]
    return min(chosen, key=lambda some: round(float(np.abs(wave[list(some)].sum(0)).max()), 9))
