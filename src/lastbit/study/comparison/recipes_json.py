"""The JSON of a recipe's comparison with the baseline, and of the best one, as `lastbit compare --json` prints it."""

from math import isfinite, isnan
from typing import Any

from lastbit.statistics.best import Best
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.study.comparison.over_examples import OverExamples


def comparison_json(row: AgainstBaseline, examples: OverExamples | None = None) -> dict[str, Any]:
    """A recipe's difference from the baseline; None stands for what is not known.

    Args:
        row: the comparison over runs.
        examples: the same over single examples, where they are known.
    """
    test, same = row.test, row.same
    varies = test is not None and test.standard_error > 0
    return {
        "recipe": row.recipe,
        "baseline": row.baseline,
        "difference": finite_or_none(row.difference),
        "means": [finite_or_none(mean) for mean in row.means],
        "standard_error": None if test is None else test.standard_error,
        "interval": [test.lower, test.upper] if test is not None and varies else None,
        "interval_simultaneous": None if row.simultaneous is None else list(row.simultaneous),
        "p": finite_or_none(row.p),
        "p_simultaneous": finite_or_none(row.p_simultaneous),
        "p_holm": finite_or_none(row.p_holm),
        "p_bh": finite_or_none(row.p_bh),
        "probability_better": None if row.better is None else row.better.value,
        "probability_better_interval": None
        if row.better is None or isnan(row.better.lower)
        else [row.better.lower, row.better.upper],
        "test": None if test is None else test.kind,
        "dof": None if test is None else test.dof,
        "common_seeds": len(row.seeds),
        "runs_needed": None if row.design is None else row.design.runs_needed(row.difference),
        "real": row.is_real,
        "same": None
        if same is None
        else {
            "p": same.p,
            "p_simultaneous": finite_or_none(row.p_same),
            "interval": [same.lower, same.upper],
            "same": row.is_same,
        },
        "std_between_tasks": finite_or_none(row.tau),
        "tasks": row.tasks or None,
        "tasks_needed": None if row.task_design is None else row.task_design.runs_needed(row.difference),
        "over_examples": None if examples is None else examples.as_json(),
    }


def best_json(best: Best) -> dict[str, Any]:
    """The best recipe, its mean as seen and corrected for having been picked, and what it is not told from.

    A best that is not told from the baseline has that one alone: the others are then not compared with it.
    """
    mean = best.winner
    return {
        "recipe": best.recipe,
        "clear": best.is_clear,
        "not_distinguishable_from": list(best.rivals),
        "mean": mean.mean,
        "corrected": mean.corrected,
        "overstated_by": mean.overstatement,
        "interval": [mean.lower, mean.upper],
    }


def finite_or_none(value: float) -> float | None:
    """A number, or None for NaN and infinity, which JSON does not have."""
    return float(value) if isfinite(value) else None
