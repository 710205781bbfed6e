"""The comparison of any number of recipes with a baseline: its numbers, and what they say in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastbit.report.numbers import difference_decimals, joined, number, some
from lastbit.statistics.best import Best
from lastbit.statistics.means import MeanTest
from lastbit.statistics.power import check_size
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.study.comparison.findings import Findings, real_rows
from lastbit.study.comparison.over_examples import OverExamples, sentences_of
from lastbit.study.comparison.recipes_json import best_json, comparison_json, finite_or_none
from lastbit.study.comparison.tasks import best_on_tasks, sentences_on_tasks

FORMAT = 1  # of the JSON, raised when its meaning changes
_NAMED = 5  # so many recipes of a kind are named


@dataclass(frozen=True)
class RecipeSummary:
    """The runs of a recipe that count."""

    name: str
    runs: int
    seeds: tuple[int | str, ...]  # empty where they are not known
    mean: float  # of the seeds' means, each seed once; over tasks, of those that all recipes have; NaN where none is
    std: float  # of a run; over these tasks, within them. NaN for a single run


def shown_decimals(comparisons: Sequence[AgainstBaseline], over_examples: Sequence[MeanTest] = ()) -> int:
    """Decimals of the numbers of comparisons, by the median of the errors of their differences.

    Args:
        comparisons: of all recipes.
        over_examples: tests that tell an error where no comparison has one.
    """
    tests = [row.test for row in comparisons if row.test] or list(over_examples)
    errors = [test.standard_error for test in tests if test.standard_error > 0]
    sizes = [abs(test.difference) for test in tests] or [abs(row.difference) for row in comparisons]
    known = [size for size in errors or sizes if not np.isnan(size)]
    shown = [row.simultaneous for row in comparisons if row.simultaneous is not None]
    return difference_decimals(float(np.median(known or [0.0])), in_points=False, intervals=shown)


@dataclass(frozen=True, repr=False)
class RecipesComparison:
    """How a metric of several recipes differs from a baseline's, recipe minus baseline, and how sure that is."""

    metric: str
    lower_is_better: bool
    by: tuple[str, ...]  # the columns that make a recipe; empty for studies
    recipes: tuple[RecipeSummary, ...]  # in the order of the file
    baseline: str
    within: float | None  # margin of equivalence, in the unit of the metric
    comparisons: tuple[AgainstBaseline, ...]  # of all recipes but the baseline, over all tasks
    best: Best | None  # over all tasks, where there are several; None where nothing varies, or there is no average
    best_by_task: Mapping[str, Best | None]  # empty where there is one task only
    tasks: Mapping[str, tuple[AgainstBaseline, ...]]  # the comparisons of each task; empty where there is one only
    less_by_task: Mapping[str, bool]  # whether less is better on each of these
    no_average: str  # the sentence that these tasks have none, since their units differ; else empty
    examples: Mapping[str | None, Mapping[str, OverExamples]]  # by task (None where there is one) and recipe; may be {}
    notes: tuple[str, ...]  # what was noticed and assumed
    span: tuple[float, float]  # the smallest and the largest value of a run
    rest: tuple[AgainstBaseline, ...] = ()  # the comparisons without runs far from the others; empty if none is

    @property
    def decimals(self) -> int:
        """Of its numbers, as words, tables and charts write them."""
        of_examples = [of.row.test for over in self.examples.values() for of in over.values() if of.row.test]
        return max(shown_decimals(rows, of_examples) for rows in (self.comparisons, self.rest or self.comparisons))

    @property
    def real(self) -> list[AgainstBaseline]:
        """The comparisons whose simultaneous interval excludes 0, the largest difference first."""
        return real_rows(self.comparisons)

    def runs_needed(self, gain: float) -> dict[str, int | None]:
        """Runs of each recipe, and of the baseline, that show a gain in 80 % of cases, each with a seed of its own.

        The test is at the level at which the intervals of all recipes hold together.

        Args:
            gain: in the unit of the metric, above 0. None stands for more than a million, where nothing varies, and for
                several tasks: more runs do not make tasks more alike.

        Raises:
            LastbitError: the gain is no number, not above 0, or not finite.
        """
        check_size(gain, "gain", what="a gain")
        designs = {row.recipe: row.design for row in self.comparisons}
        return {name: None if design is None else design.runs_needed(gain) for name, design in designs.items()}

    @property
    def verdict(self) -> str:
        """The comparison in plain words."""
        findings = Findings(
            comparisons=self.comparisons,
            baseline=self.baseline,
            lower_is_better=self.lower_is_better,
            decimals=self.decimals,
            tasks=len(self.tasks),
        )
        over = [self.no_average] if self.no_average else [*findings.sentences, *self._same()]
        return " ".join(
            [
                *over,
                *self._of_the_best(),
                *sentences_on_tasks(self.tasks, self.less_by_task, self.baseline),
                *(best_on_tasks(self.best_by_task) if len(self.recipes) > 2 else []),
                *sentences_of(self.examples.get(None, {}), self.baseline, self.decimals),
            ]
        )

    def __repr__(self) -> str:
        return f"<RecipesComparison of {len(self.recipes)} recipes: {len(self.real)} differ from {self.baseline}>"

    def _repr_html_(self) -> str:
        from lastbit.report.comparison import differences_table, recipes_table  # only here: they import the charts
        from lastbit.report.table import for_notebook

        content = self.as_json()
        return for_notebook(content["verdict"], recipes_table(content), differences_table(content))

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON, as `lastbit compare --json` prints and the page draws it."""
        return {
            "format": FORMAT,
            "metric": self.metric,
            "lower_is_better": self.lower_is_better,
            "by": list(self.by),
            "baseline": self.baseline,
            "within": self.within,
            "decimals": self.decimals,
            "recipes": [
                {
                    "name": recipe.name,
                    "runs": recipe.runs,
                    "seeds": list(recipe.seeds),
                    "mean": finite_or_none(recipe.mean),
                    "std": finite_or_none(recipe.std),
                }
                for recipe in self.recipes
            ],
            "comparisons": self._rows_json(None, self.comparisons),
            "tasks": [self._task_json(task, rows) for task, rows in self.tasks.items()],
            "no_average": self.no_average or None,
            "best": None if self.best is None else best_json(self.best),
            "notes": list(self.notes),
            "verdict": self.verdict,
        }

    def _task_json(self, task: str, rows: Sequence[AgainstBaseline]) -> dict[str, Any]:
        return {
            "task": task,
            "lower_is_better": self.less_by_task[task],
            "decimals": shown_decimals(rows),
            "comparisons": self._rows_json(task, rows),
            "best": None if (best := self.best_by_task[task]) is None else best_json(best),
        }

    def _rows_json(self, task: str | None, rows: Iterable[AgainstBaseline]) -> list[dict[str, Any]]:
        examples = self.examples.get(task, {})
        return [comparison_json(row, examples.get(row.recipe)) for row in rows]

    def _same(self) -> Iterable[str]:
        if self.within is None:
            return
        rows = [row.recipe for row in self.comparisons if row.is_same]
        names = some(rows, _NAMED)
        margin = f"the same as {self.baseline} within {self.within:g}"
        yield f"{names} {'are' if len(rows) > 1 else 'is'} {margin}." if rows else f"None is shown to be {margin}."

    def _of_the_best(self) -> Iterable[str]:
        best = self.best
        if best is None or len(self.recipes) < 3:
            return
        single = [row.recipe for row in self.comparisons if row.test is None]
        count, mean = len(self.recipes) - len(single), best.winner
        interval = f"95 % interval {self._number(mean.lower)} to {self._number(mean.upper)}"
        few = f"with fewer than two tasks of {self.baseline}" if self.tasks else "of which there is one run or one seed"
        without = f" (without {joined(single)}, {few})" if single else ""
        at = "" if best.is_raw else f" at the {'tasks' if self.tasks else 'seeds'} of {self.baseline}"
        over = " over tasks like these" if self.tasks else ""
        start = f"{best.recipe} has the best mean{over} of {count}{without}, {self._number(mean.mean)}{at}"
        if best.is_clear:
            yield f"{start} ({interval}), and stands clear of all others."
            return
        untold = f"but {some(best.rivals, _NAMED)} may be the best as well"
        if best.rivals == (self.baseline,):
            untold = (
                f"but is not distinguishable from the baseline, {self.baseline}, so that the best is not known (the "
                "others are then not compared with it)"
            )
        if mean.overstatement < 0.5 * 10.0**-self.decimals:
            yield f"{start} ({interval}), {untold}."
        else:
            yield (
                f"{start}, {untold}. The best of {count} looks better than it is, here by "
                f"about {self._number(mean.overstatement)}: {self._number(mean.corrected)} ({interval})."
            )

    def _number(self, value: float) -> str:
        return number(value, self.decimals)
