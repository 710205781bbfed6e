"""Which runs repeat one recipe: everything in the configuration but the seed, found by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lastbit.runs.columns as named
from lastbit.errors import LastbitError
from lastbit.runs.numbers import are_numbers, numbers_in
from lastbit.runs.raw import FILE, RUN, text_of

if TYPE_CHECKING:
    import polars as pl

_MOST = 100  # recipes with hardly a second run that are found by itself
_NONE = "(none)"
_JOINTS = "-_=/. "
# sgd-seed3, sgd_s3, seed=3/sgd, run 3
_SEED_IN_NAME = re.compile(
    r"(?:^|(?<=[^a-zA-Z0-9]))(?:seed|sd|s|run|rep|trial|fold)[-_= ]?(\d+)(?=[^a-zA-Z0-9]|$)", re.IGNORECASE
)


@dataclass(frozen=True)
class Grouping:
    """How runs form recipes.

    Attributes:
        by: the columns whose values together are a recipe; none that another of them decides.
        labels: of each row, in the order of the frame.
        implied: columns of the configuration that differ, but never within a recipe.
        same: columns of the configuration with a single value.
        left_out: columns that differ and do not count, each with the reason.
    """

    by: tuple[str, ...]
    labels: tuple[str, ...]
    implied: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def group(
    frame: pl.DataFrame, candidates: Sequence[str], *, told: bool, seeds: Sequence[str], most: int, counts: pl.Series
) -> Grouping:
    """Find the columns that make a recipe.

    A column counts if its value differs between runs, unless it is bookkeeping by its name; differs in every run, so
    that no recipe would have two; goes with the seed one to one; or, in a table that does not say which columns are
    configuration, is a result. A column called `recipe`, `model`, `method` or the like always counts.

    Args:
        frame: one row for each run.
        candidates: columns that may be configuration.
        told: whether the format says that they are.
        seeds: the columns of the seed.
        most: how many runs there are; fewer than rows where a run has a row for each of several tasks.
        counts: of each row, whether it is of a run that counts; what others were set to says nothing.

    Raises:
        LastbitError: there are many recipes, and next to none has two runs.
    """
    grouping = _grouped(frame, candidates, told, seeds, most, counts)
    recipes = len(set(grouping.labels))
    if recipes > _MOST and 2 * recipes > most:
        columns = sorted(grouping.by, key=lambda name: -frame[name].n_unique())
        finest = "the name of the run" if columns[0] in (RUN, FILE) else columns[0]
        raise LastbitError(
            f"{finest} makes {recipes} recipes of {most} runs, so that hardly any has two: name the columns that make "
            "a recipe by --by NAME"
        )
    return grouping


def _grouped(
    frame: pl.DataFrame, candidates: Sequence[str], told: bool, seeds: Sequence[str], most: int, counts: pl.Series
) -> Grouping:
    by, same, left_out = [], [], []
    runs = frame.filter(counts)
    for name in candidates:
        values = texts(runs[name])
        reason = _reason(runs, name, values, told, seeds, most)
        if len(set(values)) == 1:
            same.append(name)
        elif reason and not named.says_recipe(name):
            left_out.append((name, reason))
        else:
            by.append(name)
    if by:
        needed = _needed(frame, sorted(by, key=lambda name: not named.says_recipe(name)))
        by, implied = [name for name in by if name in needed], [name for name in by if name not in needed]
        return Grouping(tuple(by), labels(frame, by), tuple(implied), tuple(same), tuple(left_out))
    return _by_name(frame, tuple(same), tuple(left_out))


def _needed(frame: pl.DataFrame, by: Sequence[str]) -> list[str]:
    """The columns without those whose values follow from columns before them."""
    needed: list[str] = []
    combinations = {()}
    for name in by:
        more = set(zip(*(texts(frame[column]) for column in (*needed, name)), strict=True))
        if len(more) > len(combinations):
            needed, combinations = [*needed, name], more
    return needed


def labels(frame: pl.DataFrame, by: Sequence[str]) -> tuple[str, ...]:
    """The name of each row's recipe: the text of a single column, as in `sgd`, else `lr=0.1, optimizer=sgd`."""
    columns = [texts(frame[name]) for name in by]
    if len(columns) == 1 and (named.says_recipe(by[0]) or not are_numbers(frame[by[0]])):
        return tuple(columns[0])
    short = _short(by)
    rows = zip(*columns, strict=True) if columns else (() for _ in range(frame.height))
    return tuple(", ".join(f"{name}={value}" for name, value in zip(short, row, strict=True)) for row in rows)


def texts(column: pl.Series) -> list[str]:
    """The values of a column as text; equal numbers have equal text, whether 0.10 or 1e-1 is written."""
    known: dict[object, str] = {}
    return [known.get(value) or known.setdefault(value, spelled(value)) for value in column.to_list()]


def short_names(names: Sequence[str]) -> list[str]:
    """Paths without the directories that all of them share; other names as they are."""
    if not all("/" in name for name in names) or len(set(names)) < 2:
        return [name.rpartition("/")[2] for name in names]
    shared = os.path.commonpath(names)
    return [name[len(shared) :].lstrip("/") or name for name in names]


def seed_of_name(name: str) -> tuple[str, str | None]:
    """The name of a run without its seed, and the seed: `sgd-seed3` is (`sgd`, `3`)."""
    matches = list(_SEED_IN_NAME.finditer(name))
    if not matches:
        return name, None
    last = matches[-1]
    before, after = name[: last.start()], name[last.end() :]
    joint = after[:1] if before and after else ""
    return f"{before.rstrip(_JOINTS)}{joint}{after.lstrip(_JOINTS)}".strip(_JOINTS), str(int(last[1]))


def _reason(frame: pl.DataFrame, name: str, values: list[str], told: bool, seeds: Sequence[str], most: int) -> str:
    """Why a column does not count for the recipe; empty if it does."""
    distinct = len(set(values))
    if named.is_bookkeeping(name) or named.names_runs(name):
        return "bookkeeping"
    if not told and _is_result(frame[name], name, distinct):
        return "a result"
    if distinct >= most > 2:
        return "differs in every run"
    for seed in seeds:
        pairs = set(zip(values, texts(frame[seed]), strict=True))
        if distinct > 1 and len(pairs) == distinct == frame[seed].n_unique():
            return f"goes with {seed} one to one"
    return ""


def _is_result(column: pl.Series, name: str, distinct: int) -> bool:
    import polars as pl

    numbers = numbers_in(column)
    if not len(numbers) or (column.dtype == pl.String and not are_numbers(column)):
        return False
    whole = bool((numbers == numbers.round()).all())
    return named.says_result(name) or (not whole and distinct > max(2, len(column) // 2))


def _by_name(frame: pl.DataFrame, same: tuple[str, ...], left_out: tuple[tuple[str, str], ...]) -> Grouping:
    """Where no configuration differs: by the names of the runs without their seeds, else by their files."""
    names = [column for column in frame.columns if column == RUN or named.names_runs(column)]
    for name in names if RUN in names and not frame[RUN].null_count() else [*names, FILE]:
        if name in frame.columns and frame[name].null_count() == 0:
            stems, seeds = zip(*map(seed_of_name, short_names(texts(frame[name]))), strict=True)
            repeat = len(set(stems)) < len(stems) or all(seeds) or name == FILE
            if len(set(stems)) > 1 and repeat:
                return Grouping((name,), stems, (), same, left_out)
    if one := [name for name in same if named.says_recipe(name)]:
        return Grouping((one[0],), labels(frame, one[:1]), (), same, left_out)
    return Grouping((), ("all runs",) * frame.height, (), same, left_out)


def spelled(value: object) -> str:
    """A value as text, the same for equal numbers: 0.10 and 1e-1 are `0.1`, a missing one is `(none)`."""
    if value is None:
        return _NONE
    text = text_of(value).strip()
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, re.IGNORECASE) and not re.fullmatch(r"0\d+", text):
        return text_of(float(text)) if not text.lstrip("+-").isdigit() else text.lstrip("+")
    return text or _NONE


def _short(by: Sequence[str]) -> list[str]:
    """The last parts of dotted names where they are still told apart."""
    short = [re.split(r"[./]", name)[-1] for name in by]
    return short if len(set(short)) == len(short) else list(by)
