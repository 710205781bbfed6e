"""From what the formats read to one table: one row for each run, and what was assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lastbit.runs.columns as named
import lastbit.runs.roles as choose
from lastbit.errors import LastbitError, shortened
from lastbit.runs.endings import endings, places, unfinished, with_states
from lastbit.runs.examples import AT, example_columns, examples_of_parts, of_recipes, runs_of_examples
from lastbit.runs.groups import Grouping, group, labels, seed_of_name, short_names, texts
from lastbit.runs.notice import notice
from lastbit.runs.numbers import as_numbers
from lastbit.runs.raw import END, FILE, ROW, RUN, STATE, RawRuns
from lastbit.runs.roles import Question
from lastbit.runs.shape import at_one_step, narrowed
from lastbit.runs.table import RunTable

if TYPE_CHECKING:
    import polars as pl


def resolve(parts: Sequence[RawRuns], question: Question, *, where: str, notes: Sequence[str] = ()) -> RunTable:
    """Make one table of all parts.

    Args:
        parts: as the formats read them.
        question: what was asked.
        where: the files, for messages.
        notes: of what was noticed before.

    Raises:
        LastbitError: a column is missing, the metric is not known or text in some rows, or no run has a value.
    """
    import polars as pl

    said = [*notes, *dict.fromkeys(note for part in parts for note in part.notes)]
    is_open = question.metric is None and not question.by
    frame = narrowed(with_states(_joined(parts)), question.metric, said, is_open=is_open)
    roles = _roles(frame, parts, question, where, said)
    metric, seeds = roles.metric, list(roles.seeds)
    frame, examples, settings, told = _one_row_each(frame, parts, question, roles, said)
    grouping = _grouping(frame, settings, roles, told=told)
    said = [*_groups_note(grouping, asked=bool(roles.by)), *said]
    runs, seeds = _standard(frame, metric, roles.task, seeds, grouping, said)
    read = frame.select(name for name in frame.columns if name not in (FILE, ROW, STATE, END))
    said += [*_empty(frame, grouping.by, runs), *(endings(frame, runs) if question.step == "last" else [])]
    kept, left_out = notice(
        runs.with_columns(pl.Series(AT, range(runs.height))),
        read,
        metric=metric,
        seeds=seeds,
        notes=said,
    )
    if kept.height == 0:
        raise LastbitError(f"{where} has no run with a finite {metric}: {' '.join(said)}")
    return RunTable(
        frame=kept.drop(AT),
        left_out=left_out.drop(AT),
        metric=metric,
        by=grouping.by,
        settings=_settings(frame, grouping),
        seed=tuple(seeds),
        lower_is_better=roles.lower,
        notes=tuple(dict.fromkeys(said)),
        examples=of_recipes(examples, kept),
        is_direction_asked=question.lower_is_better is not None,
    )


@dataclass(frozen=True)
class _Roles:
    """Which columns are what."""

    metric: str
    seeds: tuple[str, ...]
    task: str | None
    example: str | None
    cluster: str | None
    by: tuple[str, ...]  # as asked; empty where it is to be found
    lower: bool

    @property
    def keys(self) -> list[str | None]:
        """The columns that tell runs apart, whatever else does."""
        return [FILE, RUN, *self.seeds, self.task, *self.by]


def _roles(frame: pl.DataFrame, parts: Sequence[RawRuns], question: Question, where: str, notes: list[str]) -> _Roles:
    metric = choose.choose_metric(frame, parts, question, where)
    seeds = choose.choose_seeds(frame, question, where)
    task = choose.choose_task(frame, question, where)
    by = [named.require(name, choose.own_columns(frame), option="--by", where=where) for name in question.by or ()]
    choose.refuse_double(metric, seeds, task, by)
    choose.refuse_step(frame, parts, question, where)
    taken = {
        **dict.fromkeys(by, "that of the recipe"),
        **({} if task is None else {task: "that of the task"}),
        **dict.fromkeys(seeds, "that of the seed"),
        metric: "the metric",
    }
    example, cluster = example_columns(frame, question, where, taken=taken)
    stated = {name: lower for part in parts for name, lower in part.lower_is_better.items()}
    lower = choose.choose_direction(metric, question, stated, notes)
    if not seeds:
        notes[:0] = choose.means_note(metric, choose.own_columns(frame))
    return _Roles(metric, tuple(seeds), task, example, cluster, tuple(by), lower)


def _one_row_each(
    frame: pl.DataFrame, parts: Sequence[RawRuns], question: Question, roles: _Roles, notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame | None, list[str], bool]:
    """A row for each run and task; the examples; the columns that may be settings; whether the formats tell them."""
    metric = roles.metric
    frame = frame.with_columns(as_numbers(frame, metric).alias(metric))
    seeds = roles.seeds if question.seed else named.seed_columns(frame.columns)
    settings, told = choose.candidates(frame, parts, {metric, *seeds, roles.task})
    if not told and (step := named.step_column(settings)) is not None:
        keys = choose.run_keys(frame, settings, roles.keys, step)
        frame = at_one_step(frame, metric, keys=keys, rule=question.step, lower=roles.lower, notes=notes)
        settings.remove(step)
    frame, examples = runs_of_examples(
        frame, metric, roles.example, roles.cluster, settings=settings, known=roles.keys, notes=notes
    )
    if examples is None:
        examples = examples_of_parts(parts, frame, metric)
    return frame, examples, [name for name in settings if name in frame.columns], told


def _grouping(frame: pl.DataFrame, settings: Sequence[str], roles: _Roles, *, told: bool) -> Grouping:
    if roles.by:
        return Grouping(roles.by, labels(frame, roles.by))
    counts = ~unfinished(frame)
    most = int(counts.sum())
    if roles.task is not None:
        most = max(Counter(texts(frame.filter(counts)[roles.task])).values(), default=0)
    return group(frame, settings, told=told, seeds=roles.seeds, most=most, counts=counts)


def _joined(parts: Sequence[RawRuns]) -> pl.DataFrame:
    """All parts below each other; a column that is text in one of them becomes text."""
    import polars as pl

    frames = [part.frame for part in parts]
    if len(frames) == 1:
        return frames[0]
    kinds: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            kinds.setdefault(name, set()).add(kind)
    text = {
        name for name, of in kinds.items() if len(of - {pl.Null()}) > 1 and not all(kind.is_numeric() for kind in of)
    }
    frames = [
        frame.with_columns(pl.Series(name, texts(frame[name]), dtype=pl.String) for name in text & set(frame.columns))
        for frame in frames
    ]
    return pl.concat(frames, how="diagonal_relaxed")


def _standard(
    frame: pl.DataFrame, metric: str, task: str | None, seeds: list[str], grouping: Grouping, notes: list[str]
) -> tuple[pl.DataFrame, list[str]]:
    """The frame with the columns of `RunTable.frame`, and of the state; and the columns of the seed."""
    import polars as pl

    values = choose.seed_values(frame, seeds) if seeds else [None] * frame.height
    if not seeds:
        for name in choose.run_names(frame):
            names = short_names(texts(frame[name]))
            numbers = [seed_of_name(run)[1] for run in names]
            if all(numbers):
                values, seeds = numbers, [name]
                notes.append(f"The seeds are the numbers in the names of the runs, such as {names[0]!r}.")
                notes.extend(named.fold_notes(names))
                break
        else:
            notes.append(_no_seed())
    seed = pl.Series("seed", values, dtype=pl.String)
    if (whole := seed.cast(pl.Int64, strict=False)).null_count() == seed.null_count():
        seed = whole
    empty = pl.Series([None] * frame.height, dtype=pl.String)
    return pl.DataFrame(
        [
            pl.Series("recipe", grouping.labels, dtype=pl.String),
            seed,
            empty.alias("task") if task is None else pl.Series("task", texts(frame[task]), dtype=pl.String),
            frame[metric].alias("value"),
            frame[FILE].alias("file") if FILE in frame.columns else empty.alias("file"),
            (frame[ROW].cast(pl.Int64) if ROW in frame.columns else empty.cast(pl.Int64)).alias("row"),
            (frame[RUN] if RUN in frame.columns else empty).alias("run"),
            (frame[STATE] if STATE in frame.columns else empty).alias("state"),
        ]
    ), seeds


def _no_seed() -> str:
    return (
        "No column holds the seed (--seed NAME), so every row is taken as an independent run. If recipes share seeds, "
        "comparing them seed by seed usually gives a narrower interval."
    )


def _groups_note(grouping: Grouping, *, asked: bool) -> list[str]:
    """How the recipes were found, and which columns that differ do not count."""
    if asked:
        return []
    follow = "follows" if len(grouping.implied) == 1 else "follow"
    rest = f"; {shortened(grouping.implied)} {follow} from that" if grouping.implied else ""
    said = [f"Recipes are told apart by {shortened(_shown(grouping.by))}{rest}."] if grouping.by else []
    reasons: dict[str, list[str]] = {}
    for name, reason in grouping.left_out:
        if reason not in ("bookkeeping", "a result"):
            reasons.setdefault(reason, []).append(name)
    said += [
        f"{shortened(names)} {reason.replace('goes', 'go', 1) if len(names) > 1 else reason}, "
        f"and {'are' if len(names) > 1 else 'is'} not part of the recipe (--by NAME if it should be)."
        for reason, names in reasons.items()
    ]
    return said


def _empty(frame: pl.DataFrame, by: Sequence[str], runs: pl.DataFrame) -> list[str]:
    """That rows have nothing written for all that makes a recipe."""
    import polars as pl

    rows = runs.filter(frame.select(pl.all_horizontal(pl.col(by).is_null())).to_series()) if by else runs.clear()
    if not rows.height:
        return []
    columns = shortened(_shown(by))
    return [f"{rows.height} runs have nothing in {columns} ({places(rows)}): they are a recipe of their own."]


def _shown(by: Sequence[str]) -> list[str]:
    added = {RUN: "the names of the runs", FILE: "their files"}
    return [added.get(name, name) for name in by]


def _settings(frame: pl.DataFrame, grouping: Grouping) -> dict[str, dict[str, str]]:
    columns = {name: texts(frame[name]) for name in (*grouping.by, *grouping.implied)}
    first = {label: at for at, label in reversed(list(enumerate(grouping.labels)))}
    return {
        label: {name: values[first[label]] for name, values in columns.items()}
        for label in dict.fromkeys(grouping.labels)
    }
