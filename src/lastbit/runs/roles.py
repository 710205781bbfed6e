"""Which column is the metric, which are the seeds, which is the task: as asked, or found out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lastbit.runs.columns as named
from lastbit.errors import LastbitError, shortened
from lastbit.runs.groups import texts
from lastbit.runs.numbers import NOTHING, ONE_ROW_EACH, are_numbers, numbers_in
from lastbit.runs.raw import ADDED, FILE, RUN, TASK, RawRuns, StepRule

if TYPE_CHECKING:
    import polars as pl

_NO_SEED = ("(none)", "nan", *NOTHING)


@dataclass(frozen=True)
class Question:
    """What a person asked, each None where it is to be found out."""

    by: tuple[str, ...] | None = None
    metric: str | None = None
    seed: tuple[str, ...] | None = None
    task: str | None = None
    example: str | None = None
    cluster: str | None = None
    lower_is_better: bool | None = None
    step: StepRule = "last"


def own_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that the files hold."""
    return [name for name in frame.columns if name not in ADDED]


def choose_metric(frame: pl.DataFrame, parts: Sequence[RawRuns], question: Question, where: str) -> str:
    """The column that is compared.

    Raises:
        LastbitError: it is not there; or none was named, and there is not exactly one that it can be.
    """
    own = own_columns(frame)
    told = all(part.metrics is not None for part in parts)
    there = [name for name in own if not told or any(name in (part.metrics or ()) for part in parts)]
    means = named.means_and_spreads(own)
    hint = f". {' and '.join(means)} look like means and spreads of several runs: {ONE_ROW_EACH}" if means else ""
    if question.metric is not None:
        return named.require(question.metric, there, option="--metric", where=where, hint=hint)
    taken = {question.task, question.example, question.cluster, *(question.by or ()), *(question.seed or ())}
    numbers = [name for name in there if name not in taken and are_numbers(frame[name])]
    if not told:
        numbers = [name for name in numbers if not _is_setting(frame, name)]
    numbers = [name for name in numbers if named.says_result(name)] or numbers
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        results = [name for name in there if name not in taken and named.says_result(name)]
        if len(results) == 1:  # some of its rows hold text, which the error that follows names
            return results[0]
        raise LastbitError(
            f"{where} has no column of results: name the metric by --metric; there are {shortened(own)}{hint}"
        )
    raise LastbitError(f"name the metric by --metric: {where} has {shortened(numbers)}{hint}")


def _is_setting(frame: pl.DataFrame, name: str) -> bool:
    numbers = numbers_in(frame[name])
    is_named = bool(named.seed_columns([name])) or named.is_bookkeeping(name) or named.step_column([name]) is not None
    few = bool((numbers == numbers.round()).all()) or numbers.n_unique() <= max(1, len(numbers) // 2)
    return is_named or (few and not named.says_result(name))


def choose_seeds(frame: pl.DataFrame, question: Question, where: str) -> list[str]:
    """The columns of the seed: those asked for, else those called so, without those that never differ."""
    own = own_columns(frame)
    if question.seed:
        return [named.require(name, own, option="--seed", where=where) for name in question.seed]
    there = [name for name in named.seed_columns(own) if name not in (question.by or ())]
    varied = [name for name in there if frame[name].n_unique() > 1]
    same = {tuple(texts(frame[name])): name for name in reversed(varied)}  # several that always agree are one seed
    return [name for name in varied if name in same.values()] or there[:1]


def choose_task(frame: pl.DataFrame, question: Question, where: str) -> str | None:
    """The column of the task; one that is found, not asked for, must tell several."""
    if question.task == "" or (question.task is None and question.by and named.task_column(question.by)):
        return None
    if question.task is not None:
        return named.require(question.task, own_columns(frame), option="--task", where=where)
    if TASK in frame.columns:
        return TASK
    name = named.task_column(own_columns(frame))
    return name if name is not None and frame[name].n_unique() > 1 else None


def refuse_double(metric: str, seeds: Sequence[str], task: str | None, by: Sequence[str]) -> None:
    """Refuse a column that is two things: every run would be a recipe, or the seed its own result.

    Raises:
        LastbitError: names both.
    """
    others = [("--by", name) for name in by] + [("--seed", name) for name in seeds] + [("--task", task)]
    if twice := [option for option, name in others if name == metric]:
        raise LastbitError(f"{metric} is the metric and cannot be {twice[0]} too: name another column for one of them")
    for name in dict.fromkeys(name for _, name in others if name is not None):
        if len(options := [option for option, other in others if other == name]) > 1:
            raise LastbitError(f"{name} cannot be {' and '.join(options)} at once: name another column for one of them")


def refuse_step(frame: pl.DataFrame, parts: Sequence[RawRuns], question: Question, where: str) -> None:
    """Refuse to choose a step where no column counts them.

    Raises:
        LastbitError: a table has none, and another value than the last is asked for.
    """
    told = all(part.settings is not None for part in parts)
    if question.step != "last" and not told and named.step_column(own_columns(frame)) is None:
        raise LastbitError(
            f"--step {question.step}: {where} has no column of steps or epochs, and each run has one value"
        )


def choose_direction(metric: str, question: Question, stated: Mapping[str, bool], notes: list[str]) -> bool:
    """Whether less is better: as asked, as the file states it, or as the name says, which is noted."""
    by_name = named.lower_is_better(metric)
    if question.lower_is_better is not None:
        return question.lower_is_better
    if metric in stated:
        return stated[metric]
    if by_name:
        notes.append(f"Lower {metric} is taken to be better, as its name suggests (--higher-is-better if not).")
    elif by_name is None:
        notes.append(f"Higher {metric} is taken to be better; its name does not say (--lower-is-better if not).")
    return bool(by_name)


def means_note(metric: str, names: Sequence[str]) -> list[str]:
    """That each value of the metric seems to be a mean of several runs, since a column of spreads stands beside it."""
    spread = named.spread_beside(metric, names)
    if spread is None:
        return []
    return [
        f"{metric} looks like means of several runs, with their spread in {spread}, but each row counts as one run: "
        f"if they are means, no interval or p below tells how far runs spread, so {ONE_ROW_EACH}."
    ]


def candidates(frame: pl.DataFrame, parts: Sequence[RawRuns], taken: Iterable[str | None]) -> tuple[list[str], bool]:
    """The columns that may be configuration, and whether every format says that they are."""
    gone = set(taken)
    told = all(part.settings is not None for part in parts)
    names = [name for name in own_columns(frame) if name not in gone]
    if told:
        names = [name for name in names if any(name in (part.settings or ()) for part in parts)]
    return names, told


def run_keys(frame: pl.DataFrame, candidates: Sequence[str], known: Iterable[str | None], step: str) -> list[str]:
    """The columns that tell runs apart in a table with a row for each step.

    They are what is known to do so, names and other text; then the columns with the fewest values, until no run has
    a step twice.
    """
    keys = [name for name in dict.fromkeys(known) if name in frame.columns]
    half = max(2, frame.height // 2)
    distinct = {name: frame[name].n_unique() for name in candidates if name != step and name not in keys}
    text = [name for name in distinct if not are_numbers(frame[name]) and distinct[name] < half]
    keys += text + [name for name in distinct if named.names_runs(name) and name not in text]
    rest = sorted(
        (name for name in distinct if name not in keys and distinct[name] < half), key=lambda name: distinct[name]
    )
    while rest and not named.says_result(rest[0]) and frame.select([*keys, step]).is_duplicated().any():
        keys.append(rest.pop(0))
    return keys


def seed_values(frame: pl.DataFrame, seeds: Sequence[str]) -> list[str | None]:
    """The seed of each row as text; of several columns joined by bars. None where none is written."""
    columns = [[None if value.lower() in _NO_SEED else value for value in texts(frame[name])] for name in seeds]
    rows = list(zip(*columns, strict=True))
    return ["|".join(value or "" for value in row) if any(row) else None for row in rows]


def run_names(frame: pl.DataFrame) -> list[str]:
    """The columns that name runs, the surest first."""
    own = [name for name in frame.columns if named.names_runs(name) and frame[name].null_count() == 0]
    several = [FILE] if FILE in frame.columns and frame[FILE].n_unique() > 1 else []
    return [name for name in (*own, RUN, *several) if name in frame.columns and frame[name].null_count() == 0]
