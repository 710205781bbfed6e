"""The comparison of two recipes: its numbers, and what they say in words."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

from lastbit.report.numbers import difference_decimals, joined, number, signed
from lastbit.statistics.examples import ExampleTest
from lastbit.statistics.means import MeanTest, PermutationTest
from lastbit.statistics.moves import Moves
from lastbit.statistics.power import SIGNIFICANCE, Design, check_size, least_noncentrality
from lastbit.study.comparison.findings import better_in_words, needed_in_words
from lastbit.study.comparison.replicates import Replicates
from lastbit.study.comparison.side import Side

FORMAT = 1  # of the JSON, raised when its meaning changes
_NAMED = 6  # so many lost runs are named one by one


@dataclass(frozen=True, repr=False)
class Comparison:
    """How a metric of two recipes differs, a minus b, and how sure that is."""

    metric: str  # its name; empty for plain numbers
    label: str  # the same for people
    unit: str  # `points` where the metric is a percentage, else empty
    a: Side
    b: Side
    doubts: tuple[str, ...]  # sentences to be read before any number
    replicates: Replicates  # the independent values that are tested
    paired: MeanTest | None  # None where no pairs are known
    unpaired: MeanTest
    permutation: PermutationTest
    examples: ExampleTest | None  # None without predictions and true labels on both sides, or for another metric
    moves: Moves | None  # what a run of a breaks and mends in place of one of b; None as for `examples`
    noise_floor: float | None  # of two single runs at one seed (95 %), by the noise of both sides pooled
    design: Design  # of future comparisons, of single runs with a different seed each

    @property
    def test(self) -> MeanTest:
        """The test that counts: of pairs where they are known, Welch's otherwise."""
        return self.unpaired if self.paired is None else self.paired

    @property
    def difference(self) -> float:
        """Mean of a minus mean of b."""
        return self.test.difference

    @property
    def standard_error(self) -> float:
        """Of the difference, by the spread of the runs."""
        return self.test.standard_error

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval of the difference, for this test set; None where no value varies."""
        return (self.test.lower, self.test.upper) if self.standard_error > 0 else None

    @property
    def p(self) -> float:
        """Two-sided p; of the permutation test where no value varies, since t would then be infinite."""
        return self.test.p if self.standard_error > 0 else self.permutation.p

    @property
    def is_distinguishable(self) -> bool:
        """Whether the runs tell the recipes apart at 5 %; never where the runs of each side are all alike."""
        return self.p <= SIGNIFICANCE and not self.replicates.is_constant

    @property
    def detectable(self) -> float:
        """The gain that a comparison like this one shows in 80 % of cases, its degrees of freedom taken as known."""
        return self.standard_error * least_noncentrality(self.test.dof)

    @property
    def decimals(self) -> int:
        """Of its numbers, as words, tables and charts write them."""
        error, shown = self.standard_error or abs(self.difference), [] if self.interval is None else [self.interval]
        return difference_decimals(error, in_points=bool(self.unit), intervals=shown)

    def least_detectable_gain(self, runs: int) -> float:
        """The gain that so many runs of each recipe, each with a seed of its own, show in 80 % of cases.

        NaN where no value varies, so that the spread of runs is not known.

        Raises:
            LastbitError: fewer than two runs.
        """
        least = self.design.least_gain(runs)
        return least if self.design.std > 0 else nan

    def runs_needed(self, gain: float | None = None) -> int | None:
        """Runs of each recipe, each with a seed of its own, that show a gain in 80 % of cases.

        Args:
            gain: above 0; by default the observed difference. None: it is 0, a million is too few, or nothing varies.

        Raises:
            LastbitError: the gain is no number, not above 0, or not finite.
        """
        if gain is not None:
            check_size(gain, "gain", what="a gain")
        if self.design.std == 0:
            return None
        return self.design.runs_needed(self.difference if gain is None else gain)

    @property
    def verdict(self) -> str:
        """The comparison in plain words, doubts first."""
        return " ".join((*self.doubts, self.finding))

    @property
    def finding(self) -> str:
        """The difference, what another test set would do to it, and the runs that are not in it."""
        return " ".join(self._sentences())

    def __repr__(self) -> str:
        return f"<Comparison {self._difference()} ({_p(self.p)})>"

    def _repr_html_(self) -> str:
        from lastbit.report.comparison import difference_table, sides_table  # only here: they import the charts
        from lastbit.report.table import for_notebook

        content = self.as_json()
        return for_notebook(content["verdict"], sides_table(content), difference_table(content))

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON, as `lastbit compare --json` prints and the page draws it."""
        examples = self.examples
        return {
            "format": FORMAT,
            "metric": self.metric,
            "label": self.label,
            "unit": self.unit,
            "doubts": list(self.doubts),
            "a": self.a.as_json(float(self.replicates.a.mean()), self.replicates.seeds_a),
            "b": self.b.as_json(float(self.replicates.b.mean()), self.replicates.seeds_b),
            "difference": self.difference,
            "standard_error": self.standard_error,
            "interval": None if self.interval is None else list(self.interval),
            "p": self.p,
            "is_distinguishable": self.is_distinguishable,
            "one_seed": self.replicates.only_seed,
            "paired": None if self.paired is None else _test_json(self.paired),
            "unpaired": _test_json(self.unpaired),
            "permutation": asdict(self.permutation),
            "examples": examples and asdict(examples) | {"pairs_that_differ": examples.pairs_that_differ},
            "moves": None if self.moves is None else asdict(self.moves),
            "noise_floor": self.noise_floor,
            "detectable": self.detectable,
            "least_detectable_gain": self.design.least_gains(),
            "runs_needed": self.runs_needed(),
            "finding": self.finding,
            "verdict": self.verdict,
        }

    def _sentences(self) -> Iterator[str]:
        if self.interval is None:
            yield f"{self._difference()}: {self._unvaried()}."
        elif self.is_distinguishable:
            better = better_in_words(self.metric, self.a.name, self.b.name, self.difference)
            yield f"{self._difference()}: more than noise with {self._runs()} ({_p(self.p)}){better}."
        else:
            yield f"{self._difference()}: not distinguishable from noise with {self._runs()}; {self._needed()}."
        if self.examples is not None and self.interval is not None:
            both = self.examples.any_test_set
            only = self.is_distinguishable and both.p > SIGNIFICANCE
            yield (
                f"{'That holds for this test set alone: over' if only else 'Over'} other test sets of "
                f"{self.examples.examples:,} examples the interval is {self._between(both.lower, both.upper)}."
            )
        if self.moves is not None:
            yield self._moved(self.moves)
        sides = (self.a, self.replicates.seeds_a), (self.b, self.replicates.seeds_b)
        left_out = [f"{joined(alone)} of {side.name}" for side, seeds in sides if (alone := side.left_out(seeds))]
        if self.paired is not None and left_out:
            what = "common seeds" if self.a.has_seeds else "whole pairs"
            yield f"Only {what} are compared, without {joined(left_out)}."
        for side in (self.a, self.b):
            if side.lost:
                yield f"Not counted in {side.name}: {_listed(side.lost)}."

    def _difference(self) -> str:
        difference = f"{signed(self.difference, self.decimals)}{self._unit}"
        interval = "without an interval" if self.interval is None else f"95 % interval {self._between(*self.interval)}"
        return f"{self.a.name} − {self.b.name}: {difference}, {interval}"

    def _moved(self, moves: Moves) -> str:
        """What a user of b feels who is given a, beside what training b again would do to them."""
        again = f", and training {self.b.name} again breaks {moves.retrained:.2f} %"
        return (
            f"In place of a run of {self.b.name}, one of {self.a.name} breaks {moves.right_to_wrong.percent:.2f} % of "
            f"the predictions (right to wrong) and mends {moves.wrong_to_right.percent:.2f} %{again}."
        )

    def _unvaried(self) -> str:
        """What is left to say where no value varies."""
        if self.is_distinguishable:
            return f"it is the same in all {self._runs()} (permutations: {_p(self.p)})"
        finding = f"not distinguishable from noise with {self._runs()}"
        if self.replicates.is_constant:
            finding += ", whose spread is not known since they do not vary"
        if self.difference == 0:
            return finding
        if self.p > SIGNIFICANCE:
            return f"{finding}; the smallest p that so few runs can give is {self.permutation.least_p:.2g}"
        return f"{finding}; if all were independent runs, permutations would give {_p(self.p)}"

    def _needed(self) -> str:
        if self.difference == 0:
            return f"such a comparison shows gains of {number(self.detectable, self.decimals)}{self._unit} and more"
        return needed_in_words(self.runs_needed(), own_seeds=not self._counts_runs)

    def _runs(self) -> str:
        replicates = len(self.replicates.a), len(self.replicates.b)
        counts = self.a.runs_at(self.replicates.seeds_a), self.b.runs_at(self.replicates.seeds_b)
        runs = f"{_both(*counts)} runs"
        if self._counts_runs:
            return f"{runs} of each" if counts[0] == counts[1] else runs
        return f"{_both(*replicates)} seeds ({runs}) of each"

    @property
    def _counts_runs(self) -> bool:
        """Whether runs are the replicates, rather than seeds: all share one seed, or each seed has one run."""
        return self.replicates.only_seed is not None or len(self.a.noises) == len(self.b.noises) == 1

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    def _between(self, lower: float, upper: float) -> str:
        return f"{number(lower, self.decimals)} to {number(upper, self.decimals)}"


def _both(count: int, other: int) -> str:
    return str(count) if count == other else f"{count} and {other}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _listed(labels: tuple[str, ...]) -> str:
    shown = "; ".join(labels[:_NAMED])
    return shown if len(labels) <= _NAMED else f"{shown}; and {len(labels) - _NAMED} more"


def _test_json(test: MeanTest) -> dict[str, Any]:
    """A test as plain data, without bounds where it has none."""
    return {name: None if value != value else value for name, value in asdict(test).items()}
