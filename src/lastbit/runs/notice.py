"""What is wrong with runs as people have them: noticed, said, and left out only where it must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lastbit.errors import shortened
from lastbit.runs.copies import copied, repeated, same_values, twins
from lastbit.runs.endings import places, unfinished
from lastbit.runs.numbers import LARGEST, mixed_units
from lastbit.runs.raw import STATE

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 4
_WRITTEN = 6  # decimals that people round to


def notice(
    runs: pl.DataFrame, read: pl.DataFrame, *, metric: str, seeds: Sequence[str], notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take out rows that do not count, and say what is suspicious.

    Left out are runs that their tracker calls unfinished, runs without a value, diverged runs, a row that repeats
    another in all that is compared, and runs that stand in an earlier file, too. All the rest counts, whatever is said
    of it.

    Args:
        runs: the columns of `RunTable.frame`, and `state`.
        read: the same rows as they were read, without where.
        metric: its name.
        seeds: the columns of the seed.
        notes: gets the sentences.

    Returns:
        The rows that count, and those left out with their `reason`.
    """
    import polars as pl

    frame = runs.with_columns(pl.Series("reason", _reasons(runs, read), dtype=pl.String))
    left_out = frame.filter(pl.col("reason").is_not_null())
    kept = frame.filter(pl.col("reason").is_null()).drop("reason", "state")
    mixed = said_units(kept, metric)
    first = [*([f"{mixed} Nothing was converted: mend the file."] if mixed else []), *_gone(left_out, kept, metric)]
    notes[:0] = first
    notes.extend(_spellings(kept))
    notes.extend(_seeds(kept, seeds))
    notes.extend(twins(kept))
    notes.extend(same_values(kept))
    notes.extend(_coarse(kept, metric))
    notes.extend(_alone(kept))
    return kept, left_out.drop("state")


def _reasons(runs: pl.DataFrame, read: pl.DataFrame) -> list[str | None]:
    """Why each row does not count, None where it does."""
    checks = (runs["value"], unfinished(runs.rename({"state": STATE})), repeated(runs, read), copied(runs))
    reasons: list[str | None] = []
    for value, is_unfinished, repeats, is_copy in zip(*checks, strict=True):
        if is_unfinished:
            reasons.append("unfinished")
        elif value is None:
            reasons.append("no value")
        elif not abs(value) <= LARGEST:
            reasons.append("diverged")
        else:
            reasons.append("copied" if is_copy else "repeated" if repeats else None)
    return reasons


def _gone(left_out: pl.DataFrame, kept: pl.DataFrame, metric: str) -> list[str]:
    """What was left out, by recipe; a recipe that diverges is not compared by its survivors in silence."""
    import polars as pl

    says = {
        "diverged": f"Diverged and left out, since {metric} is not finite or beyond {LARGEST:g}",
        "unfinished": "Left out as unfinished, by what their tracker says",
        "no value": f"Left out without a value of {metric}",
        "repeated": "Left out as repetitions, since settings, seed and results are those of another row",
        "copied": "The same runs twice, in two files, with the same recipes, seeds and values; they count once",
    }
    sentences = []
    for reason, sentence in says.items():
        rows = left_out.filter(pl.col("reason") == reason)
        if rows.height:
            counts = rows.group_by("recipe", maintain_order=True).len()
            runs = [f"{count} of {recipe}" for recipe, count in counts.iter_rows()]
            rest = " Only runs that did not diverge are compared." if reason == "diverged" else ""
            sentences.append(f"{sentence}: {shortened(runs, _SHOWN)} ({places(rows)}).{rest}")
    empty = sorted(set(left_out["recipe"]) - set(kept["recipe"]))
    return sentences + ([f"No run of {shortened(empty, _SHOWN)} is left."] if empty else [])


def said_units(runs: pl.DataFrame, metric: str, *, sure: bool = False) -> str:
    """A sentence on fractions beside percents, as `mixed_units` finds them in the runs of one task; empty without them.

    Args:
        runs: rows as `RunTable.frame` has them.
        metric: their name.
        sure: whether a single value that may be an outlier is to be passed over.
    """
    if runs["task"].n_unique() > 1:
        said = (said_units(rows, metric, sure=sure) for rows in runs.partition_by("task", maintain_order=True))
        return next((sentence for sentence in said if sentence), "")
    units = mixed_units(runs["value"].to_numpy(), runs["recipe"].to_list(), metric)
    if units is None or (sure and not units.is_sure):
        return ""
    few = runs.filter(units.few)
    kinds = ("a fraction", "fractions", "percents"), ("percent", "percents", "fractions")
    one, several, other = kinds[0 if units.few_are_fractions else 1]
    looks = f"looks like {one}" if few.height == 1 else f"look like {several}"
    return f"{few.height} of {runs.height} values of {metric} {looks} ({places(few)}), the others like {other}."


def _spellings(kept: pl.DataFrame) -> list[str]:
    """Recipes whose names differ in case and spaces only."""
    alike: dict[str, list[str]] = {}
    for recipe in kept["recipe"].unique(maintain_order=True):
        alike.setdefault("".join(recipe.split()).casefold(), []).append(repr(recipe))
    return [
        f"{shortened(names, _SHOWN)} differ in upper and lower case or spaces only, and count as {len(names)} recipes: "
        "if they are one, write them alike."
        for names in alike.values()
        if len(names) > 1
    ]


def _seeds(kept: pl.DataFrame, seeds: Sequence[str]) -> list[str]:
    """Seeds that are missing in some rows, or stand twice."""
    import polars as pl

    if not seeds:
        return []
    sentences = []
    missing = kept.filter(pl.col("seed").is_null())
    if missing.height:
        sentences.append(
            f"{missing.height} of {kept.height} runs {'has' if missing.height == 1 else 'have'} no seed "
            f"({places(missing)}), and {'is' if missing.height == 1 else 'are'} in no pair."
        )
    counts = kept.drop_nulls("seed").group_by(["recipe", "seed", "task"], maintain_order=True).len()
    twice = counts.filter(pl.col("len") > 1)
    if twice.height:
        each = [f"{recipe} seed {seed} ({times} times)" for recipe, seed, _, times in twice.iter_rows()]
        sentences.append(f"Some seeds occur more than once: {shortened(each, _SHOWN)}; pairs use their mean.")
    return sentences


def _coarse(kept: pl.DataFrame, metric: str) -> list[str]:
    """That numbers are rounded to steps as wide as the runs of a recipe spread, the median of all recipes."""
    import polars as pl

    values = kept["value"].to_numpy()
    scaled = ((10.0**decimals, values * 10.0**decimals) for decimals in range(_WRITTEN + 1))
    step = next((1 / size for size, whole in scaled if np.allclose(whole, np.round(whole), rtol=1e-12, atol=0)), 0.0)
    spreads = kept.group_by("recipe", "task").agg(pl.col("value").std())["value"].drop_nulls()
    usual = spreads.filter(spreads > 0).median()
    if not isinstance(usual, float) or step <= usual or len(np.unique(values)) < 3:  # of two values, yes and no
        return []
    return [
        f"{metric} is written in steps of {step:g}, and runs of a recipe spread by {usual:.2g}: the rounding is part "
        "of every p and interval. Give more decimals if you have them."
    ]


def _alone(kept: pl.DataFrame) -> list[str]:
    """Recipes with a single run, from which no spread can be told."""
    import polars as pl

    counts = kept.group_by(["recipe", "task"], maintain_order=True).len()
    alone = list(dict.fromkeys(counts.filter(pl.col("len") == 1)["recipe"]))
    if not alone:
        return []
    have = "has a single run" if len(alone) == 1 else "have a single run each"
    some = " on some task" if kept["task"].n_unique() > 1 else ""
    return [f"{shortened(alone, _SHOWN)} {have}{some}: one run says nothing about how much runs differ."]
