"""A side of a comparison from plain numbers: lists, tables, dictionaries by seed, texts as CSV files hold them."""

from collections.abc import Iterable, Mapping, Sized
from math import nan

import numpy as np
from numpy.typing import ArrayLike

from lastbit.errors import LastbitError
from lastbit.statistics.spread import Table
from lastbit.study.comparison.side import Side

_MISSING = frozenset({"", "-", "–", "n/a", "na", "none", "null", "nan"})


def side_of_numbers(numbers: ArrayLike, name: str) -> Side:
    """Read final metrics of shape (seeds,) or (noises, seeds), or a dictionary of them by seed.

    None, NaN, infinities, masked and empty values are runs that count nowhere. A text may end in %.

    Args:
        numbers: the runs.
        name: of the recipe.

    Raises:
        LastbitError: they are no numbers, or of another shape.
    """
    seeds: tuple[int, ...] | None = None
    if isinstance(numbers, Mapping):
        seeds, numbers = _by_seed(numbers, name)
    elif isinstance(numbers, Iterable) and not isinstance(numbers, Sized):
        numbers = list(numbers)
    table = _table(numbers, name)
    if table.ndim > 2 or table.size == 0:
        raise LastbitError(f"{name} has shape {np.shape(numbers)}: give at least two runs, (seeds,) or (noises, seeds)")
    places = seeds or tuple(range(1, table.shape[1] + 1))
    lost = [
        f"{'seed' if seeds else 'run'} {places[j]}"
        + (f" of noise {i + 1}" if len(table) > 1 else "")
        + f" ({table[i, j]})"
        for i, j in np.argwhere(~np.isfinite(table))
    ]
    values = np.where(np.isfinite(table), table, np.nan)
    noises = tuple(str(i + 1) for i in range(len(table)))
    return Side(name, values, noises, places, tuple(lost), has_seeds=seeds is not None)


def _table(numbers: ArrayLike, name: str) -> Table:
    if isinstance(numbers, np.ma.MaskedArray):
        numbers = np.ma.filled(numbers.astype(float), nan)
    try:
        found = np.array(numbers)
        if found.dtype.kind in "USO":
            found = np.vectorize(_number, otypes=[float])(found) if found.size else found.astype(float)
        return np.atleast_2d(found.astype(float))
    except (TypeError, ValueError) as error:
        reason = f"; {error}" if isinstance(error, LastbitError) else ""
        raise LastbitError(
            f"{name} is neither a study nor numbers: give a study's directory, its results, the final metrics of its "
            f"runs, a table of them (noises, seeds), or {{seed: metric}}; got {type(numbers).__name__}{reason}"
        ) from None


def _number(value: object) -> float:
    if value is None:
        return nan
    if not isinstance(value, str):
        return float(value)  # type: ignore[arg-type]
    text = value.strip()
    if text.lower() in _MISSING:
        return nan
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        raise LastbitError(f"{value!r} is no number") from None


def _by_seed(numbers: Mapping[object, object], name: str) -> tuple[tuple[int, ...], ArrayLike]:
    """Seeds and a table (noises, seeds) of a dictionary with a number, or as many for each, by seed."""
    columns = [list(v) if isinstance(v, Iterable) and not isinstance(v, str) else [v] for v in numbers.values()]
    if len({len(column) for column in columns}) > 1:
        raise LastbitError(
            f"{name} has other numbers of runs at other seeds: give each seed as many, None for a missing one"
        )
    try:
        seeds = tuple(int(str(seed)) for seed in numbers)
    except ValueError:
        raise LastbitError(
            f"{name} is a dictionary with the keys {', '.join(map(str, list(numbers)[:4]))}: its keys are seeds, whole "
            "numbers; for several metrics, give each one's numbers by themselves"
        ) from None
    return seeds, np.array(columns, dtype=object).T
