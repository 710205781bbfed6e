"""The comparison of two recipes: its numbers, and what they say in words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

from lastbit.statistics.examples import ExampleTest
from lastbit.statistics.means import MeanTest, PermutationTest
from lastbit.statistics.power import LEVEL, Design, least_noncentrality
from lastbit.study.comparison.replicates import Replicates
from lastbit.study.comparison.side import Side
from lastbit.study.comparison.words import Words

FORMAT = 1  # of the JSON, raised when its meaning changes


@dataclass(frozen=True)
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
    examples: ExampleTest | None  # None without predictions and true labels on both sides, or another metric
    noise_floor: float | None  # what last-bit noise does to a difference of two single runs (95 %)
    design: Design  # of comparisons to come, of single runs with a batch order each

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
        """Two-sided p; of the permutation test where no value varies, since t then knows no chance at all."""
        return self.test.p if self.standard_error > 0 else self.permutation.p

    @property
    def is_distinguishable(self) -> bool:
        """Whether the runs tell the recipes apart at 5 %; never where each side's runs look like one."""
        return self.p <= LEVEL and not self.replicates.is_constant

    @property
    def detectable(self) -> float:
        """The gain that a comparison like this one shows in 80 % of cases, its degrees of freedom taken as known."""
        return self.standard_error * least_noncentrality(self.test.dof)

    def least_detectable_gain(self, runs: int) -> float:
        """The gain that so many runs of each recipe, each with its own batch order, show in 80 % of cases.

        NaN where no value varies, so that the spread of runs is not known.

        Raises:
            LastbitError: fewer than two runs.
        """
        least = self.design.least_gain(runs)
        return least if self.design.std > 0 else nan

    def runs_needed(self, gain: float | None = None) -> int | None:
        """Runs of each recipe, each with its own batch order, that show a gain in 80 % of cases.

        Args:
            gain: by default the difference found. None is returned for no gain, where a million is too few, and where
                no value varies, so that the spread of runs is not known.
        """
        if self.design.std == 0:
            return None
        return self.design.runs_needed(self.difference if gain is None else gain)

    @property
    def verdict(self) -> str:
        """The comparison in plain words, doubts first."""
        return Words(self).verdict()

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON, as `lastbit compare --json` prints and the page draws it."""
        return {
            "format": FORMAT,
            "metric": self.metric,
            "label": self.label,
            "unit": self.unit,
            "doubts": list(self.doubts),
            "a": self._side_json(self.a),
            "b": self._side_json(self.b),
            "difference": self.difference,
            "standard_error": self.standard_error,
            "interval": None if self.interval is None else list(self.interval),
            "p": self.p,
            "is_distinguishable": self.is_distinguishable,
            "one_seed": self.replicates.only_seed,
            "paired": None if self.paired is None else _test_json(self.paired),
            "unpaired": _test_json(self.unpaired),
            "permutation": asdict(self.permutation),
            "examples": self._examples_json(),
            "noise_floor": self.noise_floor,
            "detectable": self.detectable,
            "least_detectable_gain": self.design.least_gains(),
            "runs_needed": self.runs_needed(),
            "finding": Words(self).finding(),
            "verdict": self.verdict,
        }

    def _examples_json(self) -> dict[str, Any] | None:
        return (
            None
            if self.examples is None
            else asdict(self.examples) | {"pairs_that_differ": self.examples.pairs_that_differ}
        )

    def _side_json(self, side: Side) -> dict[str, Any]:
        settings: Mapping[str, Any] | None = None if side.study is None else dict(side.study.settings)
        means = side.seed_means()
        used = self.replicates.a if side is self.a else self.replicates.b
        rows = [
            {"seed": seed, "noise": noise, "value": float(side.values[i, j])}
            for j, seed in enumerate(side.seeds)
            for i, noise in enumerate(side.noises)
        ]
        return {
            "name": side.name,
            "settings": settings,
            "mean": float(used.mean()),
            "seeds": list(means),
            "runs": sum(row["value"] == row["value"] for row in rows),
            "lost": list(side.lost),
            "values": rows,
            "seed_means": [{"seed": seed, "value": value} for seed, value in means.items()],
        }


def _test_json(test: MeanTest) -> dict[str, Any]:
    """A test as plain data, without bounds where it has none."""
    return {name: None if value != value else value for name, value in asdict(test).items()}
