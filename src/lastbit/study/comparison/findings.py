"""Which recipes differ from the baseline, in words: for sure, maybe, by the same in all runs, or by one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from lastbit.report.numbers import count_range, number, signed, some
from lastbit.runs.columns import lower_is_better
from lastbit.statistics.power import SIGNIFICANCE
from lastbit.statistics.recipes import AgainstBaseline

_NAMED = 5  # so many recipes of a kind are named
TOGETHER = "95 % intervals that hold together"
_LIKE_THESE = " like these, with as many runs on each,"
_TOO_FEW = (
    "at least two runs with a seed each are needed on each side, since one seed does not show how far runs spread"
)


def real_rows(comparisons: Sequence[AgainstBaseline]) -> list[AgainstBaseline]:
    """The comparisons whose simultaneous interval excludes 0, the largest difference first."""
    return sorted((row for row in comparisons if row.is_real), key=lambda row: -abs(row.difference))


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The differences of recipes from a baseline, to be put in words."""

    comparisons: Sequence[AgainstBaseline]
    baseline: str
    lower_is_better: bool
    decimals: int
    tasks: int = 0  # that the differences are over; 0 where they are of one

    @property
    def sentences(self) -> list[str]:
        """What is found, the surest first."""
        tested = [row for row in self.comparisons if row.test is not None]
        if len(tested) == 1:
            return [self._of_one(tested[0]), *self._of_single_runs()]
        return self._of_many(tested) if tested else self._of_none_tested()

    @property
    def _real(self) -> list[AgainstBaseline]:
        return real_rows(self.comparisons)

    def _of_none_tested(self) -> list[str]:
        if len(self.comparisons) == 1:
            (row,) = self.comparisons
            return self._of_single_runs() or [f"{row.recipe} and {row.baseline} cannot be compared: one has no run."]
        few = "two tasks at least have to be common" if self.tasks else _TOO_FEW
        start = f"No recipe can be compared with {self.baseline}{self._over}: {few}."
        return [start, *self._of_single_runs(says_why=False)]

    def _of_one(self, row: AgainstBaseline) -> str:
        start = f"{row.recipe} − {row.baseline}{self._over}: {self._signed(row.difference)}"
        if row.simultaneous is None:
            return f"{start}, the same in all {self._units}, so that there is no interval. Are the runs independent?"
        low, high = (self._number(end) for end in row.simultaneous)
        interval = f"95 % interval {low} to {high} ({_test_of(row)}, p = {row.p:.2g})"
        if row.is_real:
            side = "better" if self._on_side(True) else "worse"
            return f"{start}, {interval}: {row.recipe} is {side}, by more than noise."
        return f"{start}, {interval}: not distinguishable from noise{self._takes(row)}."

    def _takes(self, row: AgainstBaseline) -> str:
        """What a difference as large as an undecided one takes; empty where that is not known."""
        if row.difference == 0:
            return ""
        if row.task_design is not None:
            tasks = row.task_design.runs_needed(row.difference)
            count = "more than a million" if tasks is None else f"{tasks:,}"
            return f"; a difference as large as this takes {count} tasks{_LIKE_THESE} to show (80 % power)"
        return "" if row.design is None else f"; {needed_in_words(row.design.runs_needed(row.difference))}"

    def _of_many(self, tested: Sequence[AgainstBaseline]) -> list[str]:
        differing = self._of_the_real(tested) if self._real else self._of_none(tested)
        return [*differing, *self._of_the_exact(), *self._of_single_runs()]

    def _of_none(self, tested: Sequence[AgainstBaseline]) -> list[str]:
        if len(self._exact) == len(tested):
            return []
        alone = sum(row.p <= SIGNIFICANCE for row in tested if row.simultaneous is not None)
        chance = f" Of {len(tested)} tests taken one by one, {alone} would have p below 5 %." if alone else ""
        none = (
            f"None of {len(tested)} recipes differs from {self.baseline}{self._aside} by more than noise ({TOGETHER})."
        )
        return [f"{none}{chance}{self._needed(tested)}"]

    def _of_the_real(self, tested: Sequence[AgainstBaseline]) -> list[str]:
        real = self._real
        sides = [
            f"{word}: {self._listed(rows)}"
            for word, rows in (("better", self._on_side(True)), ("worse", self._on_side(False)))
            if rows
        ]
        verb = "differs" if len(real) == 1 else "differ"
        left = [row for row in tested if not (row.is_real or row.is_same or row.simultaneous is None)]
        whom = f"{self.baseline}{self._aside}"
        start = f"{len(real)} of {len(tested)} recipes {verb} from {whom} by more than noise ({TOGETHER})"
        are = "is" if len(left) == 1 else "are"
        rest = f" {len(left)} more {are} not distinguishable from noise.{self._needed(left)}" if left else ""
        return [f"{start}; {'; '.join(sides)}.{rest}"]

    def _needed(self, rows: Sequence[AgainstBaseline]) -> str:
        """The runs that differences as large as those of undecided rows would take."""
        designs = [(row.task_design if self.tasks else row.design, row.difference) for row in rows if row.difference]
        needed = [design.runs_needed(difference) for design, difference in designs if design is not None]
        known = [runs for runs in needed if runs is not None]
        if not needed:
            return ""
        ends = [count_range(known)] if known else []
        count = " and ".join([*ends, *(["more than a million"] if len(known) < len(needed) else [])])
        what = f"tasks{_LIKE_THESE}" if self.tasks else "runs of each recipe"
        these = "Differences as large as theirs take" if len(needed) > 1 else "A difference as large as that takes"
        return f" {these} {count} {what} to show (80 % power)."

    def _of_single_runs(self, *, says_why: bool = True) -> list[str]:
        """The differences that nothing tells from luck."""
        rows = [row for row in self.comparisons if row.test is None and not isnan(row.difference)]
        if not rows:
            return []
        named = [f"{row.recipe} − {row.baseline} {self._signed(row.difference)}" for row in rows]
        if self.tasks:
            return [f"{some(named, _NAMED)}: on one common task, which tells nothing of others."]
        why = f" ({_TOO_FEW})" if says_why else ""
        return [f"{some(named, _NAMED)}: a single run, or seed, tells no difference from luck{why}."]

    @property
    def _over(self) -> str:
        return f", on average over tasks like these {self.tasks}" if self.tasks else ""

    @property
    def _aside(self) -> str:
        """The same in the middle of a sentence."""
        return f"{self._over}," if self.tasks else ""

    @property
    def _units(self) -> str:
        return "tasks" if self.tasks else "runs"

    @property
    def _exact(self) -> list[AgainstBaseline]:
        """The comparisons in which nothing varies, so that they have no interval."""
        return [row for row in self.comparisons if row.test is not None and row.simultaneous is None]

    def _of_the_exact(self) -> list[str]:
        shifted = [f"{row.recipe} {self._signed(row.difference)}" for row in self._exact if row.difference]
        equal = [row.recipe for row in self._exact if not row.difference]
        sentences = []
        if shifted:
            verb = "differs" if len(shifted) == 1 else "differ"
            sentences.append(
                f"{some(shifted, _NAMED)}: {verb} by the same in all {self._units}, so that there is no interval. Are "
                "the runs independent?"
            )
        if equal:
            verb = "does" if len(equal) == 1 else "do"
            sentences.append(f"{some(equal, _NAMED)} {verb} not differ from {self.baseline} in any {self._units[:-1]}.")
        return sentences

    def _on_side(self, better: bool) -> list[AgainstBaseline]:
        up = better is not self.lower_is_better
        return [row for row in self._real if (row.difference > 0) is up]

    def _listed(self, rows: Sequence[AgainstBaseline]) -> str:
        named = [
            f"{row.recipe} {self._signed(row.difference)} "
            f"({self._number(row.simultaneous[0])} to {self._number(row.simultaneous[1])})"
            for row in rows
            if row.simultaneous is not None
        ]
        return some(named, _NAMED)

    def _number(self, value: float) -> str:
        return number(value, self.decimals)

    def _signed(self, value: float) -> str:
        return signed(value, self.decimals)


def better_in_words(metric: str, first: str, second: str, difference: float) -> str:
    """Which of two recipes is better, as the end of a sentence; empty where the name of the metric does not tell."""
    less = lower_is_better(metric)
    if less is None:
        return ""
    return f", {first if (difference > 0) is not less else second} is better"


def needed_in_words(runs: int | None, *, own_seeds: bool = True) -> str:
    """The runs that a difference as large as one that was found takes, as in a sentence.

    Args:
        runs: of each recipe; None stands for more than a million.
        own_seeds: whether each run is to have a seed of its own.
    """
    if runs is None:
        return "a million runs of each would not show a difference this small"
    seeds = ", each with its own seed," if own_seeds else ""
    return f"a difference as large as this takes {runs:,} runs of each{seeds} to show (80 % power)"


def _test_of(row: AgainstBaseline) -> str:
    if row.tasks:
        return f"t test on {row.tasks} tasks"
    if row.seeds:
        return f"paired t test on {len(row.seeds)} common seeds"
    return "Welch’s t test"
