"""What each source of randomness contributes to the spread of a study's metric, where several vary at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lastbit.report.numbers import capital, joined, spread
from lastbit.statistics.luck import unit_of
from lastbit.statistics.source_design import next_design
from lastbit.statistics.sources import SourceLucks, SourceSpreads, source_lucks, source_spreads
from lastbit.statistics.spread import Table
from lastbit.statistics.variance import Component
from lastbit.study.design import SourceDesign
from lastbit.study.grid import Grid
from lastbit.study.metric import Metric
from lastbit.study.source_names import INTERACTION, LAST_BIT_KEY, REMAINDER, key_of, label_of

_NO_SEED = (LAST_BIT_KEY, INTERACTION, REMAINDER)  # parts that are no source of the design
_MORE_RUNS = 2.25  # times as many runs are proposed where intervals are wide: 54 after 24
_WIDE = 3.0  # an interval is called wide where its upper end is more than so many times its lower one


@dataclass(frozen=True)
class Contribution:
    """The standard deviation that one source gives the metric, and the luck of the finite test set in it."""

    component: Component
    luck: float | None  # standard deviation; None where it is not known
    share: float | None  # of the variance of a single run; None for what contains others, and where one is unknown

    @property
    def is_wide(self) -> bool:
        """Whether it is above zero, and its interval says little about its size."""
        return 0 < _WIDE * self.component.lower < self.component.upper

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self.component), "share": self.share, "luck": self.luck}


@dataclass(frozen=True)
class Contributions:
    """What every source contributes; None where that is not known, and why."""

    design: SourceDesign
    parts: Mapping[str, Contribution | None]  # by the names of the sources, `last_bit`, `interaction`, `remainder`
    missing: Mapping[str, str]  # those that are None, and sources that do not vary -> why, as in a sentence
    runs: int  # that have a value
    examples: int | None  # of the test set, where the luck is known

    def named(self) -> list[tuple[str, Contribution]]:
        """The parts that add up to the variance of a single run, with their names in a sentence: the sources first."""
        known = [(name, part) for name, part in self.parts.items() if part is not None]
        apart = any(name == INTERACTION for name, _ in known) or len(self.design.seeds) == 1
        chosen = [(name, part) for name, part in known if name != REMAINDER or not apart]
        return [(_called(name), part) for name, part in chosen]

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

    def finding(self, metric: Metric, decimals: int) -> str:
        """What each source contributes, in sentences with numbers; empty where nothing is known."""
        return " ".join(self._sentences(metric, decimals))

    def _sentences(self, metric: Metric, decimals: int) -> Iterator[str]:
        parts = self.named()
        if not parts:
            yield f"Too few finished runs ({self.runs}) to say what any source contributes."
            return

        def moved(part: Contribution, unit: str) -> str:
            """The spread of one part, its interval and its luck."""
            std, lower, upper = (
                spread(value, decimals) for value in (part.component.std, part.component.lower, part.component.upper)
            )
            alone = "" if part.luck is None else f"; independent errors alone {spread(part.luck, decimals)}"
            return f"by {std}{unit} ({lower} to {upper}{alone})"

        moving = [(label, part) for label, part in parts if part.component.upper > 0]
        if moving:
            (first, part), *others = moving
            on = "" if self.examples is None else f"on these {self.examples:,} examples "
            rest = [f"{label} {moved(other, '')}" for label, other in others]
            listed = joined([f"{on}{first} moves {metric.label} {moved(part, metric.unit)}", *rest])
            yield f"{capital(listed)}: standard deviations with their 95 % intervals."
        still = [label for label, part in parts if part.component.upper == 0]
        if still:
            yield f"{capital(joined(still))} left {'it' if moving else metric.label} as it was."
        if unsure := [label for label, part in parts if part.component.lower == 0 < part.component.upper]:
            one = len(unsure) == 1
            reaches = f"The interval{'' if one else 's'} of {joined(unsure)} reach{'es' if one else ''} zero"
            allowed = "upper end is" if one else "upper ends are"
            yield f"{reaches}: there may be no effect; the {allowed} what the runs allow."
        if unknown := self._unknown():
            listed = "; ".join(f"{label} ({why})" for label, why in unknown)
            none = all(part.share is None for _, part in parts)
            yield f"Not known: {listed}{', so that no share of the variance is given' if none else ''}."
        if any(part.is_wide for _, part in moving) and (more := self._more_runs()):
            yield f"{self.runs} runs leave wide intervals; {more} new runs would narrow them."

    def _unknown(self) -> list[tuple[str, str]]:
        """What is missing of the parts that the design is to tell apart, as in a sentence, and why."""
        known = {name for name, part in self.parts.items() if part is not None}
        return [(_called(name), self.missing[name]) for name in _apart(self.design) if name not in known]

    def _more_runs(self) -> int | None:
        """How many runs of a new design would tell more; None where runs of this one are missing, or there is none."""
        planned, repeats = len(self.design.places), None if self.design.repeated else 0
        if self.runs < planned:
            return None
        return next_design(len(self.design.seeds), round(planned * _MORE_RUNS), repeats=repeats)


def contributions(grid: Grid, design: SourceDesign, metric: Metric) -> Contributions:
    """Estimate what each source contributes, from the runs that finished.

    Args:
        grid: the stored trials.
        design: which seed of each source every run has.
        metric: the number of each run that is compared.
    """
    table = grid.values(metric.name)
    rows, columns = np.array(design.places).T
    levels, values = design.levels(), table[rows, columns]
    spreads = source_spreads(levels, np.where(np.isfinite(values), values, np.nan))
    lucks, examples = _lucks(grid, table, design)
    components = _parts(spreads)
    total = _total(components, design)
    of_luck = {} if lucks is None else _parts(lucks)
    parts = {
        name: None
        if component is None
        else Contribution(component, of_luck.get(name), _share(name, component, components, total))
        for name, component in components.items()
    }
    missing = {name: why for name, why in _why(design, spreads).items() if parts.get(name) is None}
    return Contributions(design, parts, missing, int(np.isfinite(values).sum()), examples)


def _called(name: str) -> str:
    """What a part is called in a sentence: `batch order`, `the interaction`."""
    return f"{'the ' if name in _NO_SEED else ''}{label_of(name)}"


def _parts(found: SourceSpreads | SourceLucks) -> dict[str, Any]:
    return {
        **found.sources,
        LAST_BIT_KEY: found.last_bit,
        INTERACTION: found.interaction,
        REMAINDER: found.remainder,
    }


def _lucks(grid: Grid, table: Table, design: SourceDesign) -> tuple[SourceLucks | None, int | None]:
    """The luck of the test set and its size, where the metric is the accuracy of stored predictions."""
    predicted = grid.correctness()
    unit = None if predicted is None else unit_of(predicted.right, table)
    if predicted is None or unit is None:
        return None, None
    rows, columns = np.array(design.places).T
    return source_lucks(design.levels(), predicted.right[rows, columns] / unit), predicted.right.shape[-1]


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
