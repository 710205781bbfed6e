"""What each source of randomness contributes to the spread of a study's metric, where several vary at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lastbit.statistics.luck import Luck, known_luck, unit_of
from lastbit.statistics.quality import Quality, quality_within
from lastbit.statistics.sources import SourceQualities, SourceSpreads, source_qualities, source_spreads
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS, Table
from lastbit.statistics.variance import Component
from lastbit.study.design import SourceDesign
from lastbit.study.distances import Churn, prediction_churn
from lastbit.study.grid import Grid
from lastbit.study.metric import Metric
from lastbit.study.source_names import INTERACTION, LAST_BIT_KEY, REMAINDER, key_of, label_of

_NO_SEED = (LAST_BIT_KEY, INTERACTION, REMAINDER)  # parts that are no source of the design


@dataclass(frozen=True)
class Contribution:
    """The standard deviation that one source gives the metric, and what of it is quality."""

    component: Component  # on this test set
    quality: Quality | None  # on an unlimited one, and the luck of this one; None where it is not known
    share: float | None  # of the variance of a single run; None for what contains others, and where one is unknown

    @property
    def luck(self) -> float | None:
        """The standard deviation that independent errors on the test set give; None where at most a bound is known."""
        return None if self.quality is None or self.quality.luck_at_most else self.quality.luck

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        quality = None if self.quality is None else asdict(self.quality)
        return {**asdict(self.component), "share": self.share, "luck": self.luck, "quality": quality}


@dataclass(frozen=True)
class Contributions:
    """What every source contributes; None where that is not known, and why."""

    design: SourceDesign
    parts: Mapping[str, Contribution | None]  # by the names of the sources, `last_bit`, `interaction`, `remainder`
    missing: Mapping[str, str]  # those that are None, and sources that do not vary -> why, as in a sentence
    runs: int  # that have a value

    def named(self) -> list[tuple[str, Contribution]]:
        """The parts that add up to the variance of a single run, with their names in a sentence: the sources first."""
        known = [(name, part) for name, part in self.parts.items() if part is not None]
        apart = any(name == INTERACTION for name, _ in known) or len(self.design.seeds) == 1
        chosen = [(name, part) for name, part in known if name != REMAINDER or not apart]
        return [(_called(name), part) for name, part in chosen]

    def unknown(self) -> list[tuple[str, str]]:
        """What is missing of the parts that the design is to tell apart, as in a sentence, and why."""
        known = {name for name, part in self.parts.items() if part is not None}
        return [(_called(name), self.missing[name]) for name in _apart(self.design) if name not in known]

    def as_json(self) -> dict[str, Any]:
        """As the results of a study hold it."""
        names = {name: key_of(name) for name in [*self.parts, *self.missing]}
        return {
            "design": {
                **self.design.as_json(),
                "labels": {names[name]: label_of(name) for name in names},
                "finished": self.runs,
                "missing": {names[name]: why for name, why in self.missing.items()},
            },
            "sources": {
                names[name]: None if (part := self.parts.get(name)) is None else part.as_json() for name in names
            },
        }


def contributions(grid: Grid, design: SourceDesign, metric: Metric, *, examples: int | None = None) -> Contributions:
    """Estimate what each source contributes, from the runs that finished.

    Args:
        grid: the stored trials.
        design: which seed of each source every run has.
        metric: the number of each run that is compared.
        examples: size of the test set where the metric is known to be its accuracy in percent, and true labels are not
            stored.
    """
    table = grid.values(metric.name)
    rows, columns = np.array(design.places).T
    levels, values = design.levels(), table[rows, columns]
    spreads = source_spreads(levels, np.where(np.isfinite(values), values, np.nan))
    components = _parts(spreads)
    total = _total(components, design)
    qualities = _qualities(grid, table, design) or _bounded(components, grid, table, design, examples)
    parts = {
        name: None
        if component is None
        else Contribution(component, qualities.get(name), _share(name, component, components, total))
        for name, component in components.items()
    }
    missing = {name: why for name, why in _why(design, spreads).items() if parts.get(name) is None}
    return Contributions(design, parts, missing, int(np.isfinite(values).sum()))


def _called(name: str) -> str:
    """What a part is called in a sentence: `batch order`, `the interaction`."""
    return f"{'the ' if name in _NO_SEED else ''}{label_of(name)}"


def _parts(estimates: SourceSpreads | SourceQualities) -> dict[str, Any]:
    return {
        **estimates.sources,
        LAST_BIT_KEY: estimates.last_bit,
        INTERACTION: estimates.interaction,
        REMAINDER: estimates.remainder,
    }


def _qualities(grid: Grid, table: Table, design: SourceDesign) -> dict[str, Quality | None]:
    """The quality by each part, where the metric is the accuracy of stored predictions; else nothing."""
    predicted = grid.correctness()
    unit = None if predicted is None else unit_of(predicted.right, table)
    if predicted is None or unit is None or predicted.right.shape[-1] < 2:
        return {}
    rows, columns = np.array(design.places).T
    return _parts(source_qualities(design.levels(), predicted.right[rows, columns] / unit))


def _bounded(
    components: Mapping[str, Component | None], grid: Grid, table: Table, design: SourceDesign, examples: int | None
) -> dict[str, Quality | None]:
    """What a bound on the luck leaves, without true labels.

    The luck of any part is at most that of a single run, which the churn of runs bounds that share no seed.
    """

    def bound(axis: int, churn: Churn | None) -> Luck | None:
        """The lower of the bounds by the churn of some runs and by their error rate."""
        return known_luck(None, table, axis=axis, churn=None if churn is None else churn.mean, examples=examples)

    if examples is None:
        return {}
    of_run = bound(OVER_SEEDS, prediction_churn(grid, axis=OVER_SEEDS, among=design.share_no_seed))
    of_last_bit = bound(OVER_NOISES, prediction_churn(grid, axis=OVER_NOISES))
    return {
        name: quality_within(component, of_last_bit if name == LAST_BIT_KEY else of_run)
        for name, component in components.items()
    }


def _apart(design: SourceDesign) -> list[str]:
    """The parts that a design is to tell apart, which add up to the variance of a single run."""
    if not design.repeated:
        return [*design.seeds, REMAINDER]
    return [*design.seeds, LAST_BIT_KEY, *([INTERACTION] if len(design.seeds) > 1 else [])]


def _total(components: Mapping[str, Component | None], design: SourceDesign) -> float | None:
    """The variance of a single run; None where a part of it is not known.

    Without any finished repeat, the remainder stands for the interaction and the last bit.
    """
    names = _apart(design)
    if components[LAST_BIT_KEY] is None:
        names = [*design.seeds, REMAINDER]
    parts = [components[name] for name in names]
    known = [part.std**2 for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _share(name: str, part: Component, components: Mapping[str, Component | None], total: float | None) -> float | None:
    if not total or (name == REMAINDER and components[LAST_BIT_KEY] is not None):
        return None
    return part.std**2 / total


def _why(design: SourceDesign, spreads: SourceSpreads) -> dict[str, str]:
    """Why each part may not be known, as in a sentence."""
    single, repeats = len(design.seeds) == 1, bool(design.repeated)
    too_few = "too few finished runs tell it from the rest"
    no_repeats = "without repeats it is not told from {}: both are in the remainder"
    interaction = too_few if repeats else no_repeats.format("the last bit")
    return {
        **dict.fromkeys(design.seeds, too_few),
        **design.absent,
        LAST_BIT_KEY: "no repeat has finished" if repeats else no_repeats.format("the interaction"),
        INTERACTION: "a single source has none" if single else interaction,
        REMAINDER: too_few,
    }
