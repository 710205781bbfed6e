"""`compare`: two recipes or many, from studies, plain numbers, or a table of runs that exist already."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import getattr_static
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.storage.directories import STUDY
from lastbit.storage.limits import reachable
from lastbit.study.comparison.recipes import RecipesComparison

if TYPE_CHECKING:
    from lastbit.runs.raw import Progress, StepRule
    from lastbit.study.comparison.comparison import Comparison

Names = str | Sequence[str] | None


def compare(
    *runs: Any,
    metric: str | None = None,
    paired: bool | None = None,
    by: Names = None,
    seed: Names = None,
    task: str | None = None,
    example: str | None = None,
    cluster: str | None = None,
    baseline: str | float | None = None,
    lower_is_better: bool | None = None,
    within: float | None = None,
    step: "StepRule" = "last",
    on_progress: "Progress | None" = None,
) -> "Comparison | RecipesComparison":
    """Say what the differences of recipes are worth: of two studies, of more, or of the runs in a table.

    Two studies, or two lots of plain numbers, give a `Comparison`, the first minus the second. More of them, a
    baseline, a margin, and every table give a `RecipesComparison`: each recipe minus the baseline, with what many tests
    at once do to it.

    Args:
        runs: studies, their directories or `Results`, or plain numbers (as `compare_two` takes them), one for each
            recipe; or a pandas or polars frame; or files and directories of runs, as `lastbit.runs.read_runs` takes
            them.
        metric: the metric or column to compare; by default the studies' own, or the only one.
        paired: for plain numbers: True where they belong together, in order; False never forms pairs.
        by: for a table: the columns that make a recipe; by default all of the configuration but the seed.
        seed: for a table: the columns of the seed; by default those called so.
        task: for a table: the column of the task or data set.
        example: for a table with a row for each example of each run: the column of the example.
        cluster: for such a table: the column of what examples belong to, such as the document or the patient.
        baseline: the recipe that the others are compared with, by its name, or by its value where a single column makes
            recipes; by default the first.
        lower_is_better: whether less of the metric is better; by default what its name says.
        within: margin of equivalence in the unit of the metric: which recipes are the same as the baseline within it.
        step: for a table with histories: `last`, `best`, or a number.
        on_progress: called with the bytes of a table read so far and in all.

    Raises:
        LastbitError: what was given cannot be read or compared; the message says which and why.
        LastbitTypeError: no runs, or options that do not go with what was given.
    """
    if not runs:
        raise LastbitTypeError(
            "compare was given no runs: give studies, numbers of several recipes, or a table of runs"
        )
    if len(runs) > 1 and any(_is_frame(given) for given in runs):
        raise LastbitTypeError(
            "a frame is compared alone: put all runs into one frame, with a column that names the recipe of each, and "
            "say by=COLUMN; of frames of plain numbers, give frame.to_numpy()"
        )
    columns: dict[str, Any] = {"by": by, "seed": seed, "task": task, "example": example, "cluster": cluster}
    _refuse_other_kinds(columns | {"metric": metric})
    tables = [_is_table(given) for given in runs]
    if all(tables):
        if paired is not None:
            raise LastbitTypeError("paired= is for plain numbers: a table's runs are paired by their seeds")
        asked = {**columns, "metric": metric, "lower_is_better": lower_is_better, "step": step}
        if isinstance(runs[0], str | Path):
            asked["on_progress"] = on_progress
        return _of_tables(runs, baseline=baseline, within=within, **asked)
    _refuse_half_tables(runs, tables, columns, step)
    if len(runs) == 2 and baseline is None and within is None:
        return _of_two(runs, metric, paired, lower_is_better)
    return _of_sides(runs, metric, paired, lower_is_better, baseline=baseline, within=within)


def _refuse_other_kinds(names: Mapping[str, object]) -> None:
    """Refuse names that are no text; those of `by` and `seed` may be several."""
    for option, given in names.items():
        several = option in ("by", "seed")
        parts = given if several and isinstance(given, list | tuple) else [] if given is None else [given]
        if wrong := [part for part in parts if not isinstance(part, str)]:
            what = "the name of a column, or several" if several else "one name"
            raise LastbitTypeError(f"{option}={given!r}: {wrong[0]!r} is no text; give {what}")


def _refuse_half_tables(
    runs: Sequence[Any], tables: Sequence[bool], columns: Mapping[str, Any], step: "StepRule"
) -> None:
    """Refuse what goes with tables only where not all that is given is one, and a single recipe."""
    if any(tables):
        study = next(given for given, table in zip(runs, tables, strict=True) if not table)
        raise LastbitError(f"{study} is no table of runs and others are: compare studies or tables, not both at once")
    if any(value is not None for value in columns.values()):
        raise LastbitTypeError(
            "by=, seed=, task=, example= and cluster= name columns of a table: studies and plain numbers have none"
        )
    if len(runs) == 1:
        if isinstance(runs[0], str | Path) and not (place := reachable(Path(runs[0])) / STUDY).exists():
            there = "holds nothing to compare" if place.parent.is_dir() else "does not exist"
            raise LastbitError(f"{runs[0]} {there}: give two studies, or a table with a row for each run")
        raise LastbitTypeError("compare was given one recipe: give at least two, or a table with a row for each run")
    if step != "last":
        raise LastbitTypeError(
            f"step={step!r} is for a table of runs: of a study or plain numbers the last value counts"
        )


def _is_table(given: object) -> bool:
    """Whether it is a frame, or a path to runs that are no study."""
    if not isinstance(given, str | Path):
        return _is_frame(given)
    return is_table_path(Path(given))


def _is_frame(given: object) -> bool:
    """Whether it is a pandas or polars frame, or one of their kind."""
    if isinstance(given, str | Path) or not hasattr(given, "__getitem__"):
        return False
    # Without asking a polars LazyFrame for its columns, which would read them and warn.
    return getattr_static(given, "columns", None) is not None


def is_table_path(path: Path) -> bool:
    """Whether it is a file, or a directory that holds neither a study nor, one level down, studies.

    Where there is nothing, an ending like `.csv` is that of a file.
    """
    place = reachable(path)
    if not place.is_dir():
        return place.exists() or path.suffix[1:].isalpha()
    return not (place / STUDY).exists() and next(place.glob(f"*/{STUDY}"), None) is None and any(place.iterdir())


def _of_tables(
    runs: Sequence[Any], *, baseline: str | float | None, within: float | None, **asked: Any
) -> RecipesComparison:
    from lastbit.runs import read_runs, runs_of_frame
    from lastbit.study.comparison.tables import compare_runs

    if isinstance(runs[0], str | Path):
        table = read_runs([Path(path) for path in runs], **asked)
    else:
        table = runs_of_frame(runs[0], **asked)
    return compare_runs(table, baseline=baseline, within=within)


def _of_two(runs: Sequence[Any], metric: str | None, paired: bool | None, lower_is_better: bool | None) -> "Comparison":
    if lower_is_better is not None:
        raise LastbitTypeError(
            "lower_is_better= is for tables and for several recipes: of two, the difference is the first minus the "
            "second, whichever is better"
        )
    from lastbit.study.comparison.two import compare_two  # only here: studies import torch, tables do without

    return compare_two(*runs, metric=metric, paired=paired)


def _of_sides(
    runs: Sequence[Any],
    metric: str | None,
    paired: bool | None,
    lower_is_better: bool | None,
    *,
    baseline: str | float | None,
    within: float | None,
) -> RecipesComparison:
    from lastbit.runs.columns import lower_is_better as says_less
    from lastbit.study.comparison.replicates import refuse_other_seeds
    from lastbit.study.comparison.several import compare_sides
    from lastbit.study.comparison.two import read_all_sides

    sides = read_all_sides(runs, metric)
    if paired:
        for side in sides[1:]:
            refuse_other_seeds(sides[0], side)
    if paired is not None:
        sides = [replace(side, has_seeds=paired) for side in sides]
    name = next((side.study.metric.name for side in sides if side.study is not None), metric or "")
    less = bool(says_less(name)) if lower_is_better is None else lower_is_better
    return compare_sides(sides, metric=name, lower_is_better=less, baseline=baseline, within=within)
