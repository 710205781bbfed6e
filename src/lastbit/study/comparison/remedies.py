"""A recipe's remedies against its baseline: accuracy, churn, horizon and cost, and which are better beyond doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from statistics import median
from typing import Any

import numpy as np

from lastbit.statistics.churn import churn_by_batch_order, churn_by_last_bit, churn_interval
from lastbit.statistics.means import paired_t
from lastbit.statistics.quality import Quality
from lastbit.statistics.recipes import AgainstBaseline, against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.statistics.spread import Spread
from lastbit.study.comparison.doubts import doubts, refuse_incomparable
from lastbit.study.comparison.side import Side
from lastbit.study.comparison.two import read_all_sides
from lastbit.study.distances import Distance
from lastbit.study.flips import predicted_labels
from lastbit.study.results import Results

HORIZON = 1e-2  # relative weight distance
LAST_BIT, BATCH_ORDER = "last_bit", "batch_order"
BASELINE = "baseline"


@dataclass(frozen=True)
class Treated:
    """A recipe's study with some remedies, or with none."""

    name: str  # `baseline`, or the remedies as the command line writes them
    options: Mapping[str, Any]  # of each remedy by its name
    results: Results
    seconds: Mapping[str, float]  # what trials took, by their ids; those that were measured
    memory: int | None  # bytes that the training takes at most
    notes: tuple[str, ...] = ()  # what the remedies said of this recipe


@dataclass(frozen=True)
class Measured:
    """What was measured of one treatment; None where it is not known."""

    accuracy: float | None  # mean over seeds, in the metric's unit
    churn: Mapping[str, tuple[float, tuple[float, float] | None] | None]  # by source: percent, and its interval
    quality: Mapping[str, Quality | None]  # by source: the spread on an unlimited test set
    horizon: float | None  # step at which the relative weight distance passes 1e-2, median over pairs; inf: it does not
    diverged: int
    spread: Spread | None  # of the metric between runs that differ in the last bit alone
    distance: float | None  # relative weight distance at the last kept step, median over pairs of runs


@dataclass(frozen=True)
class Compared:
    """One treatment against the baseline; the intervals of a column hold together for all treatments, at 95 %."""

    treated: Treated
    measured: Measured
    accuracy: AgainstBaseline
    churn: Mapping[str, AgainstBaseline]  # by source
    time: float | None  # ratio to the baseline, the geometric mean over runs
    time_interval: tuple[float, float] | None
    memory: float | None  # ratio to the baseline
    within: float | None  # margin of accuracy, in the metric's unit; None where nobody has set one

    @property
    def keeps_accuracy(self) -> bool:
        """Whether the accuracy falls by less than the margin beyond doubt."""
        interval = self.accuracy.simultaneous
        return (
            self.within is not None
            and self.measured.diverged == 0
            and ((interval is not None and interval[0] > -self.within) or _is_equal(self.accuracy))
        )

    @property
    def lowers(self) -> list[str]:
        """The sources of which the churn is lower beyond doubt."""
        return [source for source, row in self.churn.items() if row.is_real and row.difference < 0]

    @property
    def raises(self) -> list[str]:
        """The sources of which the churn is higher beyond doubt."""
        return [source for source, row in self.churn.items() if row.is_real and row.difference > 0]

    @property
    def is_better(self) -> bool:
        """Whether it lowers the churn of one source, and raises none, at the same accuracy, all beyond doubt."""
        return self.keeps_accuracy and bool(self.lowers) and not self.raises

    def times_lower(self, source: str, base: Measured) -> float | None:
        """How many times lower than the baseline's the churn of a source is; None where one is not known or is 0."""
        here, there = self.measured.churn[source], base.churn[source]
        return there[0] / here[0] if here is not None and there is not None and here[0] > 0 else None


@dataclass(frozen=True)
class RemediesComparison:
    """All treatments of a recipe against its baseline."""

    recipe: str
    metric: str
    decimals: int  # that show what varies of it
    baseline: Treated
    measured: Measured  # of the baseline
    rows: tuple[Compared, ...]
    steps: int  # the last step whose weights were kept
    seeds: int
    notes: tuple[str, ...]


def compare_remedies(recipe: str, treated: Sequence[Treated], *, within: float | None = 1.0) -> RemediesComparison:
    """Compare a recipe's treatments with the first of them, its baseline.

    Seeds are paired. The accuracy of a seed is the mean over its noises; its churn is as in `lastbit.statistics.churn`.

    Args:
        recipe: its name.
        treated: the baseline first, all with the same noises and seeds.
        within: the largest loss of accuracy that counts as the same, in the metric's unit; None decides nothing.

    Raises:
        LastbitError: the studies cannot be compared, as where one has no finished run.
    """
    sides = [
        replace(side, name=each.name)
        for side, each in zip(read_all_sides([each.results for each in treated], None), treated, strict=True)
    ]
    for side in sides[1:]:
        refuse_incomparable(side, sides[0])
    churns = [_churn(each) for each in treated]
    measured = [_measured(each.results, churn) for each, churn in zip(treated, churns, strict=True)]
    accuracy = against_baseline([_accuracy(side) for side in sides])
    by_source = {source: against_baseline([churn[source] for churn in churns]) for source in (LAST_BIT, BATCH_ORDER)}
    base = treated[0]
    rows = [
        Compared(
            treated=each,
            measured=measured[place + 1],
            accuracy=accuracy[place],
            churn={source: rows[place] for source, rows in by_source.items()},
            **_time(each, base),
            memory=each.memory / base.memory if each.memory and base.memory else None,
            within=within,
        )
        for place, each in enumerate(treated[1:])
    ]
    doubted = dict.fromkeys(doubt for side in sides[1:] for doubt in doubts(side, sides[0]))
    said = [f"{each.name}: {note}" for each in treated for note in each.notes]
    steps = max((distance.step for each in treated for distance in each.results.distances), default=0)
    metric = base.results.metric
    decimals = metric.decimals(base.results.grid.values(metric.name))
    seeds = len(base.results.counted.seeds)
    notes = *said, *doubted
    return RemediesComparison(recipe, metric.label, decimals, base, measured[0], tuple(rows), steps, seeds, notes)


def _accuracy(side: Side) -> RecipeRuns:
    means = side.seed_means()
    return RecipeRuns(side.name, np.array(list(means.values())), tuple(means), tuple(side.repeats().values()))


def _churn(each: Treated) -> dict[str, RecipeRuns]:
    """By source, the numbers of seeds whose mean is the churn; none where no run kept its predictions."""
    grid = each.results.counted
    if (examples := grid.examples()) is None:
        return {source: RecipeRuns(each.name, np.empty(0), ()) for source in (LAST_BIT, BATCH_ORDER)}
    labels, churn = predicted_labels(grid, examples), {}
    for source, of_seeds in ((LAST_BIT, churn_by_last_bit), (BATCH_ORDER, churn_by_batch_order)):
        numbers = of_seeds(labels)
        known = np.isfinite(numbers)
        seeds = tuple(seed for seed, is_known in zip(grid.seeds, known, strict=True) if is_known)
        churn[source] = RecipeRuns(each.name, numbers[known], seeds)
    return churn


def _measured(results: Results, churn: Mapping[str, RecipeRuns]) -> Measured:
    values = results.counted.values(results.metric.name)
    return Measured(
        accuracy=float(np.nanmean(values)) if np.isfinite(values).any() else None,
        churn={
            source: (float(runs.values.mean()), churn_interval(runs.values)) if len(runs.values) else None
            for source, runs in churn.items()
        },
        quality={LAST_BIT: results.noise_quality, BATCH_ORDER: results.seed_quality},
        horizon=horizon(results.distances),
        diverged=sum(trial.diverged_at is not None for trial in results.grid.stored.values()),
        spread=results.noise,
        distance=median(pair[-1].rel_l1.value for pair in pairs) if (pairs := _pairs(results.distances)) else None,
    )


def horizon(distances: Sequence[Distance]) -> float | None:
    """The first kept step at which the relative weight distance is above 1e-2, the median over pairs of runs.

    Args:
        distances: of all pairs at all kept steps.

    Returns:
        Infinity where it stays below for half of the pairs and more; None without a pair.
    """
    passed = [
        min((distance.step for distance in pair if not distance.rel_l1.value <= HORIZON), default=inf)
        for pair in _pairs(distances)
    ]
    return float(median(passed)) if passed else None


def _pairs(distances: Sequence[Distance]) -> list[list[Distance]]:
    """The distances of each pair of runs, step by step."""
    pairs: dict[tuple[int, int], list[Distance]] = {}
    for distance in distances:
        pairs.setdefault((distance.noise, distance.seed), []).append(distance)
    return [sorted(pair, key=lambda distance: distance.step) for pair in pairs.values()]


def _time(each: Treated, base: Treated) -> dict[str, Any]:
    """The ratio of what runs of the same seed and noise took, and its interval."""
    ids, base_ids = each.results.grid.ids, base.results.grid.ids
    pairs = [
        (each.seconds[ids[place]], base.seconds[base_ids[place]])
        for place in sorted(ids)
        if ids[place] in each.seconds and base_ids.get(place) in base.seconds
    ]
    if not pairs:
        return {"time": None, "time_interval": None}
    logs, base_logs = np.log(np.array(pairs)).T
    if len(pairs) < 2:
        return {"time": float(np.exp(logs[0] - base_logs[0])), "time_interval": None}
    test = paired_t(logs, base_logs)
    ends = float(np.exp(test.lower)), float(np.exp(test.upper))
    return {"time": float(np.exp(test.difference)), "time_interval": ends if all(map(isfinite, ends)) else None}


def _is_equal(row: AgainstBaseline) -> bool:
    """Whether nothing varies and there is no difference at all."""
    return row.test is not None and row.test.standard_error == 0 and row.test.difference == 0
