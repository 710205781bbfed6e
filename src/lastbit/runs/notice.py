"""What is wrong with runs as people have them: noticed, said, and left out only where it must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lastbit.errors import shortened
from lastbit.runs.copies import copied, repeated, same_values, twins
from lastbit.runs.endings import places, unfinished
from lastbit.runs.numbers import mixed_units
from lastbit.runs.raw import STATE

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 4


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
        elif value != value or abs(value) == float("inf"):
            reasons.append("diverged")
        else:
            reasons.append("copied" if is_copy else "repeated" if repeats else None)
    return reasons


def _gone(left_out: pl.DataFrame, kept: pl.DataFrame, metric: str) -> list[str]:
    """What was left out, by recipe; a recipe that diverges is not compared by its survivors in silence."""
    import polars as pl

    says = {
        "diverged": f"Diverged and left out, since {metric} is not finite",
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
            rest = " What is compared are the runs that did not diverge." if reason == "diverged" else ""
            sentences.append(f"{sentence}: {shortened(runs, _SHOWN)} ({places(rows)}).{rest}")
    empty = sorted(set(left_out["recipe"]) - set(kept["recipe"]))
    return sentences + ([f"No run of {shortened(empty, _SHOWN)} is left."] if empty else [])


def said_units(runs: pl.DataFrame, metric: str, *, sure: bool = False) -> str:
    """A sentence on fractions beside percents, as `mixed_units` finds them; empty without them.

    Args:
        runs: rows as `RunTable.frame` has them.
        metric: their name.
        sure: whether a single value that may be an outlier is to be passed over.
    """
    found = mixed_units(runs["value"].to_numpy(), runs["recipe"].to_list(), metric)
    if found is None or (sure and not found.is_sure):
        return ""
    few = runs.filter(found.few)
    words, other = ("fractions", "percents") if found.few_are_fractions else ("percents", "fractions")
    verb = "looks" if few.height == 1 else "look"
    count = f"{few.height} of {runs.height} values of {metric}"
    return f"{count} {verb} like {words} ({places(few)}), the others like {other}."


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
    """Seeds that are missing in some rows, stand twice, or are not common to the recipes."""
    import polars as pl

    if not seeds:
        return []
    sentences = []
    missing = kept.filter(pl.col("seed").is_null())
    if missing.height:
        sentences.append(
            f"{missing.height} of {kept.height} runs have no seed ({places(missing)}), and are in no pair."
        )
    counts = kept.drop_nulls("seed").group_by(["recipe", "seed", "task"], maintain_order=True).len()
    twice = counts.filter(pl.col("len") > 1)
    if twice.height:
        each = [f"{recipe} seed {seed} ({times} times)" for recipe, seed, _, times in twice.iter_rows()]
        sentences.append(f"Seeds stand more than once: {shortened(each, _SHOWN)}; pairs use their mean.")
    return sentences + _common(kept)


def _common(kept: pl.DataFrame) -> list[str]:
    by_recipe = {
        recipe: set(rows["seed"].drop_nulls()) for (recipe,), rows in kept.group_by("recipe", maintain_order=True)
    }
    if len(by_recipe) < 2 or len({frozenset(of) for of in by_recipe.values()}) == 1:
        return []
    common = set.intersection(*by_recipe.values())
    if not common:
        return ["No seed is common to all recipes."]
    most = max(len(of) for of in by_recipe.values())
    return [f"Not all recipes have the same seeds: {len(common)} of up to {most} are common to all."]


def _alone(kept: pl.DataFrame) -> list[str]:
    """Recipes with a single run, from which no spread can be told."""
    import polars as pl

    counts = kept.group_by(["recipe", "task"], maintain_order=True).len()
    alone = list(dict.fromkeys(counts.filter(pl.col("len") == 1)["recipe"]))
    if not alone:
        return []
    have = "has a single run" if len(alone) == 1 else "have a single run each"
    return [f"{shortened(alone, _SHOWN)} {have}: one run tells nothing of how much runs differ."]
