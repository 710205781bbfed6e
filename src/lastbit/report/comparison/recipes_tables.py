"""The tables of many recipes against a baseline, whose rows a terminal prints too."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

from lastbit.report.comparison.recipes_stored import RecipesJson
from lastbit.report.numbers import MISSING, number, p_in_words, percent, signed, spread
from lastbit.report.table import Table

# The kinds of differences.
BETTER, WORSE, SAME, UNSURE = "better", "worse", "the same within the margin", "not distinguishable"
_SHORT = {BETTER: "better", WORSE: "worse", SAME: "the same", UNSURE: MISSING}


def kind_of(row: Mapping[str, Any], content: RecipesJson) -> str:
    """What a difference is: better, worse, the same, or not distinguishable."""
    if row["real"]:
        return BETTER if (row["difference"] > 0) is not content["lower_is_better"] else WORSE
    return SAME if row["same"] is not None and row["same"]["same"] else UNSURE


def recipes_table(content: RecipesJson) -> Table:
    """Each recipe: its runs, their mean and spread."""
    places = content["decimals"]
    rows = [
        [
            recipe["name"],
            number(recipe["mean"], places),
            spread(recipe["std"], places),
            str(recipe["runs"]),
            str(len(recipe["seeds"])) if recipe["seeds"] else MISSING,
        ]
        for recipe in content["recipes"]
    ]
    return Table("recipes", "", ["recipe", "mean", "std of a run", "runs", "seeds"], rows)


def of_task(content: RecipesJson, task: Mapping[str, Any] | None) -> RecipesJson:
    """The comparison as if there were this task only; all of it for None."""
    return (
        content if task is None else {**content, **{name: value for name, value in task.items() if value is not None}}
    )


def differences_table(content: RecipesJson, task: Mapping[str, Any] | None = None) -> Table:
    """Each difference from the baseline with its intervals, and where they stand nowhere else the means that it is of.

    Args:
        content: as `as_recipes` gives it.
        task: one of its tasks; by default the comparison over all.
    """
    part = of_task(content, task)
    places, over_tasks = part["decimals"], bool(content["tasks"]) and task is None
    has_means = task is not None or _has_other_means(content)
    rows = [
        [
            row["recipe"],
            *([_means(row["means"], places)] if has_means else []),
            signed(row["difference"], places),
            _interval(row["interval"], places),
            _interval(row["interval_simultaneous"], places),
            _finding(row, part, over_tasks=over_tasks),
            _needed(row, part, over_tasks=over_tasks),
        ]
        for row in part["comparisons"]
    ]
    name = "differences" if task is None else f"differences-{content['tasks'].index(task) + 1}"
    of = f": {task['task']}" if task is not None else " over tasks like these" if over_tasks else ""
    needed = "tasks needed" if over_tasks else "runs needed"
    columns = ["recipe", *(["means"] if has_means else [])]
    columns += ["difference", "95 % interval", "all together", "finding", needed]
    note = "" if task is not None else _note(content, has_means=has_means)
    align = f"l{'r' * has_means}rrrlr"
    return Table(name, f"The differences from {content['baseline']}{of}", columns, rows, note, align=align)


def _note(content: RecipesJson, *, has_means: bool) -> str:
    family = "of this table " if content["tasks"] else ""
    if content["tasks"]:
        needed = "Tasks needed: like these, with as many runs on each,"
        family_of_tasks = " So do those of the tables of single tasks, of all these tables together."
    else:
        needed, family_of_tasks = "Runs needed: of each recipe, with a seed each,", ""
    means = ""
    if has_means:
        what = "the tasks that both have" if content["tasks"] else "the seeds that both have"
        means = f" Means are of what is compared, {what}, the recipe’s before that of {content['baseline']}."
    return (
        f"All intervals {family}under “all together” hold together in 95 % of cases, those before them alone."
        f"{family_of_tasks} {needed} to show an undecided difference if it is as large as it looks (80 % power).{means}"
    )


def _has_other_means(content: RecipesJson) -> bool:
    """Whether a difference is of other runs than the means of its recipe and the baseline in the table of recipes."""
    means = {recipe["name"]: recipe["mean"] for recipe in content["recipes"]}
    pairs = [
        (row["means"], (means.get(row["recipe"]), means.get(content["baseline"])))
        for row in content["comparisons"]
        if row.get("means") is not None
    ]
    return any(
        ours is not None and theirs is not None and not isclose(ours, theirs, rel_tol=1e-9)
        for pair in pairs
        for ours, theirs in zip(*pair, strict=True)
    )


def _means(means: Sequence[float | None] | None, places: int) -> str:
    return MISSING if means is None else " vs ".join(number(mean, places) for mean in means)


def _finding(row: Mapping[str, Any], content: RecipesJson, *, over_tasks: bool) -> str:
    if row["test"] is None and row["difference"] is not None:
        return "one task" if over_tasks else "no test"
    return "no run" if row["difference"] is None else _SHORT[kind_of(row, content)]


def p_values_table(content: RecipesJson) -> Table:
    """The test of each difference: its p alone and among all, and how often a run is better than the baseline's."""
    margin, compared = content["within"], content["comparisons"]
    rows = [
        [
            row["recipe"],
            p_in_words(row["p"]),
            p_in_words(row.get("p_simultaneous")),
            p_in_words(row["p_bh"]),
            _better(row),
            *(
                []
                if margin is None
                else [MISSING if row["same"] is None else p_in_words(row["same"].get("p_simultaneous"))]
            ),
        ]
        for row in compared
    ]
    tests = sorted({row["test"] for row in compared if row["test"]})
    note = (
        f"By {' or '.join(tests) or 'no test'}. “All together” is p among all recipes, below 0.05 where the "
        "interval that holds together with the others misses 0: the two decide as one. BH, Benjamini’s and Hochberg’s, "
        "is for another question: of the recipes below 0.05 at most 5 % should be false, so that one may well be. "
        "P(better): that a single run, with a seed of its own, is better than one of the baseline (with common seeds, "
        "of the runs with these); it may be modest where the difference of the means is sure."
    )
    names = [
        "recipe",
        "p",
        "all together",
        "BH",
        "P(better)",
        *([] if margin is None else [f"p: not within ± {margin:g}"]),
    ]
    return Table("tests", "The tests in numbers", names, rows, note)


def over_all_tables(content: RecipesJson) -> list[Table]:
    """The differences and their tests; none where tasks have no average."""
    return [] if content.get("no_average") else [differences_table(content), p_values_table(content)]


def examples_tables(content: RecipesJson) -> list[Table]:
    """The differences over other examples, of all tasks in one table; none where there are no examples."""
    places, tasks = content["decimals"], content["tasks"]
    of_tasks = [(task["task"], row) for task in tasks for row in task["comparisons"]]
    compared = of_tasks or [(None, row) for row in content["comparisons"]]
    rows = [
        [
            *([] if task is None else [task]),
            row["recipe"],
            signed(over["difference"], places),
            _interval(over["interval"], places),
            _interval(over.get("interval_simultaneous"), places),
            p_in_words(over["p"]),
            p_in_words(over.get("p_simultaneous")),
            f"{over['examples']:,}",
            MISSING if over["groups"] is None else f"{over['groups']:,}",
        ]
        for task, row in compared
        if (over := row.get("over_examples")) is not None
    ]
    own = ["over examples", "95 % interval", "all together", "p", "p of all", "examples", "groups"]
    columns = [*(["task"] if tasks else []), "recipe", *own]
    note = (
        "With the same runs, over other examples like these; where they are in groups, over other groups. All "
        f"intervals under “all together”{' and of all tasks' if tasks else ''} hold together in 95 % of cases: a "
        "difference is real where its interval misses 0, and “p of all” is below 0.05."
    )
    return [Table("examples", "The differences over other examples", columns, rows, note)] if rows else []


def gain_tables(content: RecipesJson) -> list[Table]:
    """What a gain takes, where one was asked for, in a table."""
    gain = content.get("gain")
    if gain is None:
        return []
    has_tasks = any(row["task"] is not None for row in gain["recipes"])
    rows = [
        [
            *([row["task"]] if has_tasks else []),
            row["recipe"],
            _runs(row["runs_needed"]) if row["power"] is not None else MISSING,
            MISSING if row["power"] is None else percent(row["power"]),
            str(row["runs"]),
        ]
        for row in gain["recipes"]
    ]
    columns = [*(["task"] if has_tasks else []), "recipe", f"runs for {gain['gain']:g}", "power now", "runs now"]
    note = f"{gain['sentence']} Now: of one run at each seed that there is; several runs of a seed show somewhat more."
    return [Table("gain", f"Runs that a gain of {gain['gain']:g} takes", columns, rows, note)]


def _needed(row: Mapping[str, Any], content: RecipesJson, *, over_tasks: bool) -> str:
    """What an undecided difference would take; a dash where it is decided, is 0, or has no interval."""
    is_open = kind_of(row, content) == UNSURE and row["interval"] is not None and row["difference"] != 0
    if not is_open:
        return MISSING
    needed = "tasks_needed" if over_tasks else "runs_needed"
    return _runs(row[needed]) if needed in row else MISSING  # an older comparison does not tell


def _runs(runs: int | None) -> str:
    return "> a million" if runs is None else f"{runs:,}"


def _interval(ends: Sequence[float] | None, places: int) -> str:
    return MISSING if ends is None else f"{number(ends[0], places)} to {number(ends[1], places)}"


def _better(row: Mapping[str, Any]) -> str:
    value, ends = row["probability_better"], row.get("probability_better_interval")
    if value is None:
        return MISSING
    return percent(value) + ("" if ends is None else f" ({100 * ends[0]:.0f} to {100 * ends[1]:.0f})")
