"""Tables of other shapes brought to one row for each run: long, wide, and with histories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import lastbit.runs.columns as named
from lastbit.errors import LastbitError, shortened
from lastbit.runs.numbers import are_numbers, as_numbers
from lastbit.runs.raw import ADDED, END, ROW, StepRule

if TYPE_CHECKING:
    import polars as pl

# seed_1, run 2; acc_seed1, val/acc/s3: of what comes before the seed's word, if anything does
_OF_A_SEED = re.compile(
    r"(?:(?P<metric>.*\w)[\s_./-]+)?(?P<word>seed|run|rep|repetition|trial|fold|s)[\s_=-]?(?P<seed>\d+)",
    re.IGNORECASE,
)
# acc_1, acc2, but not acc@1
_COUNTED = re.compile(r"(?P<metric>.*[^\W\d_])(?P<joint>[\s_-]*)(?P<seed>\d+)")
# as in recall_5
_AT_K = (
    "top",
    "hit",
    "hits",
    "recall",
    "precision",
    "ndcg",
    "mrr",
    "map",
    "pass",
    "success",
    "rouge",
    "bleu",
    "f",
    "r",
)
_METRIC_NAMES = ("metric", "tag", "key", "variable", "measure", "metric_name")
_METRIC_VALUES = ("value", "metric_value")


def narrowed(frame: pl.DataFrame, metric: str | None, notes: list[str], *, is_open: bool) -> pl.DataFrame:
    """Bring a table whose values stand beside the metric's name, or in a column for each seed, to a column of values.

    Args:
        frame: as read.
        metric: that was asked for, if one was.
        notes: gets a sentence on what was done.
        is_open: whether neither a metric nor recipes were named, so that columns may be recipes.

    Raises:
        LastbitError: it holds several metrics, and none was asked for; or not the one that was.
    """
    frame = _from_names(frame, metric, notes)
    is_long = bool(named.seed_columns(frame.columns)) or metric in frame.columns or ROW not in frame.columns
    seeds = {} if is_long else _seed_columns(frame, metric)
    if metric is None and len(seeds) > 1:
        raise LastbitError(f"the table holds several metrics: name one by --metric; there are {shortened(list(seeds))}")
    family = metric if metric in seeds else next(iter(seeds), "") if metric is None else ""
    name = metric or family or "value"
    if family in seeds and name not in frame.columns:
        others = [column for other, columns in seeds.items() if other != family for column in columns]
        return _from_seeds(frame.drop(others), seeds[family], name, notes)
    recipes = _recipe_columns(frame) if is_open else []
    is_free = not {"recipe", "value"} & (set(frame.columns) - set(recipes))
    return _from_recipes(frame, recipes, notes) if len(recipes) > 1 and is_free else frame


def _from_names(frame: pl.DataFrame, metric: str | None, notes: list[str]) -> pl.DataFrame:
    import polars as pl

    names = next((name for name in frame.columns if named.plain(name) in _METRIC_NAMES), None)
    values = next((name for name in frame.columns if named.plain(name) in _METRIC_VALUES), None)
    if names is None or values is None or metric in frame.columns:
        return frame
    there = [str(name) for name in frame[names].drop_nulls().unique(maintain_order=True)]
    if not there or set(there) & set(frame.columns):
        return frame
    if metric is None and len(there) > 1:
        raise LastbitError(f"the table holds several metrics: name one by --metric; there are {shortened(there)}")
    chosen = named.require(metric, there, option="--metric", where=f"the column {names}") if metric else there[0]
    notes.append(f"Only rows whose {names} is {chosen} count; their values are in {values}.")
    rows = frame.filter(pl.col(names).cast(pl.String) == chosen)
    return rows.rename({values: metric or chosen}).drop(names)


def _seed_columns(frame: pl.DataFrame, metric: str | None) -> dict[str, dict[str, str]]:
    """The columns that each hold the value of one seed, and these seeds; by metric, which may be without a name."""
    families: dict[str, dict[str, str]] = {}
    counted: dict[tuple[str, str], dict[str, str]] = {}
    for name in frame.columns:
        if match := _OF_A_SEED.fullmatch(name.strip()):
            family = match["metric"] or ""
            if family in ("", metric) or match["word"].lower() == "seed" or named.says_result(family):
                families.setdefault(family, {})[name] = match["seed"]
        elif match := _COUNTED.fullmatch(name.strip()):
            counted.setdefault((match["metric"], match["joint"]), {})[name] = match["seed"]
    for (family, joint), columns in counted.items():
        if (family == metric or named.ends_in_result(family)) and _are_seeds(family, joint, list(columns.values())):
            families[family] = columns
    return {
        family: columns
        for family, columns in families.items()
        if len(columns) > 1 and 2 * sum(are_numbers(frame[name]) for name in columns) > len(columns)
    }


def _are_seeds(metric: str, joint: str, numbers: Sequence[str]) -> bool:
    """Whether the numbers behind a metric's name count its runs.

    They may say which metric it is (acc1, acc5), or which part of one run (acc_task_1), instead.
    """
    first, *rest = sorted(map(int, numbers))
    in_a_row = first in (0, 1) and rest == list(range(first + 1, first + 1 + len(rest)))
    is_another = named.words(metric)[-1] in _AT_K or named.says_part(metric)
    return in_a_row and not is_another and len(numbers) >= (2 if joint else 3)


def _from_seeds(frame: pl.DataFrame, seeds: dict[str, str], metric: str, notes: list[str]) -> pl.DataFrame:
    import polars as pl

    others = [name for name in frame.columns if name not in seeds]
    if len({frame[name].dtype.is_numeric() for name in seeds}) > 1:  # text in a cell makes a column text
        frame = frame.with_columns(pl.col(*seeds).cast(pl.String))
    long = frame.unpivot(list(seeds), index=others, variable_name="seed", value_name=metric)
    long = long.with_columns(long["seed"].replace(seeds))
    notes.append(f"The columns {shortened(list(seeds))} are taken as seeds: each row is a recipe, each cell a run.")
    notes.extend(named.fold_notes(seeds))
    return long.sort(ROW, maintain_order=True).drop_nulls(metric)


def _recipe_columns(frame: pl.DataFrame) -> list[str]:
    """The columns, where all but the seed hold numbers and none is called like a result or a setting."""
    filled = [name for name in frame.columns if frame[name].null_count() < frame.height]
    rest = [name for name in filled if name not in ADDED and not named.is_bookkeeping(name)]
    rest = [name for name in rest if not named.seed_columns([name]) and named.step_column([name]) is None]
    numbers = [name for name in rest if are_numbers(frame[name]) and not named.says_result(name)]
    varied = [name for name in numbers if frame[name].n_unique() > frame.height // 2 > 0]
    whole = [name for name in varied if all(value.is_integer() for value in as_numbers(frame, name).drop_nulls())]
    return rest if len(varied) == len(rest) and not whole else []


def _from_recipes(frame: pl.DataFrame, recipes: list[str], notes: list[str]) -> pl.DataFrame:
    others = [name for name in frame.columns if name not in recipes]
    notes.append(f"The columns {shortened(recipes)} are taken as recipes: each cell is a run.")
    return frame.unpivot(recipes, index=others, variable_name="recipe", value_name="value").drop_nulls("value")


def at_one_step(
    frame: pl.DataFrame, metric: str, *, keys: Sequence[str], rule: StepRule, lower: bool, notes: list[str]
) -> pl.DataFrame:
    """One row of each run of a table that has a row for each step.

    Args:
        frame: with `metric` as numbers.
        metric: whose value is wanted; rows without one do not count.
        keys: the columns that tell runs apart.
        rule: the last step, the best value, or the last step up to a number.
        lower: whether the best is the smallest.
        notes: gets the rule that was used.

    Raises:
        LastbitError: no run has a value up to the step asked for.
    """
    import polars as pl

    column = named.step_column(frame.columns)
    if column is None or column in keys or not are_numbers(frame[column]):
        return frame
    rows = frame.drop_nulls(metric).with_columns(pl.col(column).cast(pl.Float64, strict=False).alias(END))
    steps = rows.group_by(keys).agg(pl.len(), pl.col(END).n_unique().alias("steps"))
    if rows.height == 0 or steps["steps"].max() == 1 or (steps["len"] != steps["steps"]).all():
        return frame
    if isinstance(rule, int):
        rows = rows.filter(pl.col(END) <= rule)
        if rows.height == 0:
            first = float(as_numbers(frame, column).drop_nulls().to_numpy().min())
            raise LastbitError(f"--step {rule}: no run has a value that early; the first is at {column} {first:g}")
    rows = rows.with_row_index("(order)")
    order = [pl.col(END), pl.col("(order)")]
    if rule == "best":
        # A run that ends in NaN has diverged, whatever it reached before; one that passed through it has not.
        last = pl.col("(order)") == pl.col("(order)").sort_by(*order).last().over(keys)
        rows = rows.filter(pl.col(metric).is_not_nan() | last)
        best = [pl.col(metric).is_nan(), pl.col(metric) * (1 if lower else -1), *order]
        ranked = rows.sort(best, descending=[True, False, False, False])
    else:
        ranked = rows.sort(order, descending=True)
    chosen = ranked.group_by(keys, maintain_order=True).first().sort("(order)").drop("(order)")
    notes.append(step_note(metric, rule, lower))
    return chosen.select([*frame.columns, END])


def step_note(metric: str, rule: StepRule, lower: bool) -> str:
    """The sentence that says which value of a history counts."""
    if rule == "best":
        which = "smallest" if lower else "largest"
        return (
            f"The {which} {metric} of each run counts, at whatever step it was. It was chosen on the data that it is "
            "measured on, so it looks better than the model that a user would get; --step last takes the last value."
        )
    return f"The last {metric} of each run counts" + (f", at step {rule} or before." if isinstance(rule, int) else ".")
