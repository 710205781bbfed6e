"""What a study, its metric and its noise are called: in titles, axes, file names and the middle of sentences."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from lastbit.noise.noise import KINDS
from lastbit.report.numbers import MISSING, capital, joined, number, spread
from lastbit.report.study.stored import Row, StudyJson, metrics_of

_OF_A_SCRIPT, _ANY = "the script's ", "the "
_UNEXPLAINED = "<p>A noise disturbs the last bit of what the training computes.</p>"


@dataclass(frozen=True)
class ShownMetric:
    """The number whose spread a study measures, and what another seed changes."""

    name: str  # among a trial's metrics
    label: str  # as in the middle of a sentence
    is_percentage: bool
    decimals: int
    order: str  # what another seed changes, as in the middle of a sentence: `batch order`, `the seed`

    @property
    def capital(self) -> str:
        """The label at the beginning of a sentence."""
        return capital(self.label)

    @property
    def capital_order(self) -> str:
        """What another seed changes, at the beginning of a sentence."""
        return capital(self.order)

    @property
    def cause(self) -> str:
        """What another seed changes, as a label: `batch order`, `seed`."""
        return self.order.removeprefix(_OF_A_SCRIPT).removeprefix(_ANY)

    @property
    def seed(self) -> str:
        """What the seeds are of: `seed of the batch order`, `seed of the script`, or `seed` where that is not known."""
        if self.order.startswith(_OF_A_SCRIPT):
            return "seed of the script"
        return self.cause if self.cause == "seed" else f"seed of the {self.cause}"

    @property
    def axis(self) -> str:
        """The title of an axis of values."""
        return f"{self.label} (%)" if self.is_percentage else self.label

    @property
    def bracket(self) -> str:
        """The unit of a difference, as the title of an axis or column has it."""
        return " (points)" if self.is_percentage else ""

    @property
    def points(self) -> str:
        """The unit of a difference, with the space before it."""
        return " points" if self.is_percentage else ""

    @property
    def sign(self) -> str:
        """The unit of a value, with the space before it."""
        return " %" if self.is_percentage else ""

    def of(self, trial: Row) -> float | None:
        """A trial's final value; None where it has none."""
        value: float | None = metrics_of(trial).get(self.name)
        return value

    def value(self, value: float | None) -> str:
        """A value without its unit."""
        return number(value, self.decimals)

    def spread(self, value: float | None) -> str:
        """A spread without its unit."""
        return spread(value, self.decimals)

    def interval(self, stored: dict[str, Any] | None) -> str:
        """The interval of a stored spread: `0.10 to 0.26`; it has no width where no run differed from another."""
        if stored is None:
            return MISSING
        if stored["upper"] == 0:
            return "no run differed"
        return f"{self.spread(stored['lower'])} to {self.spread(stored['upper'])}"


def metric_of(study: StudyJson) -> ShownMetric:
    """The metric of stored results; those from before there was a choice have test accuracies in percent."""
    by_custom: dict[str, Any] = {"name": "test_accuracy", "label": "test accuracy", "unit": "percent", "decimals": 2}
    stored = study.get("metric") or by_custom
    return ShownMetric(
        name=stored["name"],
        label=stored["label"],
        is_percentage=stored["unit"] == "percent",
        decimals=stored["decimals"],
        order=study.get("seed_decides") or "batch order",
    )


@dataclass(frozen=True)
class Source:
    """The noise of a study in words, as in the middle of a sentence."""

    name: str  # `last-bit noise`, `summation order`
    kinds: tuple[str, ...]  # of its noises, such as `scale`

    @property
    def subject(self) -> str:
        """What moves the results: `the last bit`."""
        subjects = {kind.source: kind.subject for kind in KINDS.all()}
        return subjects.get(self.name, "the noise")

    @property
    def difference(self) -> str:
        """What two runs of one seed differ in."""
        known = dict.fromkeys(noise.difference for kind in self.kinds if (noise := KINDS.get(kind)))
        return joined(known) if known else self.name

    @property
    def explanations(self) -> list[str]:
        """What each noise does, as paragraphs of HTML."""
        known = [noise.explanation if (noise := KINDS.get(kind)) else "" for kind in self.kinds]
        return list(dict.fromkeys(text or _UNEXPLAINED for text in known or [""]))


def source_of(study: StudyJson) -> Source:
    """The source of stored results; those from before there was a choice have last-bit noise by k."""
    kinds = dict.fromkeys(str(trial.get("kind", "")) for trial in study["trials"])
    return Source(study.get("source") or "last-bit noise", tuple(kind for kind in kinds if kind))


def source_of_all(studies: Iterable[StudyJson]) -> Source:
    """The sources of several studies in one."""
    sources = [source_of(study) for study in studies]
    kinds = dict.fromkeys(kind for source in sources for kind in source.kinds)
    return Source(" and ".join(dict.fromkeys(source.name for source in sources)), tuple(kinds))


def distinct_names(studies: Sequence[StudyJson]) -> list[str]:
    """A name for each study, numbered where several share one: `demo`, `demo (2)`."""
    return _numbered([str(study["name"]) or "study" for study in studies], " ({})")


def file_stems(studies: Sequence[StudyJson]) -> list[str]:
    """A distinct beginning of a file name for each study, whatever the study's name holds."""
    stems = [re.sub(r"[^A-Za-z0-9_]+", "-", str(study["name"])).strip("-")[:60] or "study" for study in studies]
    return _numbered(stems, "-{}")


def _numbered(names: Sequence[str], pattern: str) -> list[str]:
    chosen: list[str] = []
    for name in names:
        candidates = chain([name], (name + pattern.format(number) for number in count(2)))
        # File systems may be case-insensitive.
        chosen.append(next(word for word in candidates if word.lower() not in map(str.lower, chosen)))
    return chosen
