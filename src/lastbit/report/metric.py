"""A study's metric as the page writes it."""

from dataclasses import dataclass
from typing import Any

from lastbit.report.numbers import MISSING, number, spread
from lastbit.report.stored import Row, Study, metrics_of

_OF_A_SCRIPT = "the script's "


@dataclass(frozen=True)
class Metric:
    """The number whose spread a study tells, and what another seed changes."""

    name: str  # among a trial's metrics
    label: str  # as in the middle of a sentence
    is_percentage: bool
    decimals: int
    order: str  # what another seed changes, as in the middle of a sentence: `batch order`

    @property
    def capital(self) -> str:
        """The label at the beginning of a sentence."""
        return self.label[:1].upper() + self.label[1:]

    @property
    def capital_order(self) -> str:
        """What another seed changes, at the beginning of a sentence."""
        return self.order[:1].upper() + self.order[1:]

    @property
    def own(self) -> str:
        """What every run may have of its own: `batch order`, or of a script `seed`."""
        return self.order.removeprefix(_OF_A_SCRIPT)

    @property
    def seed(self) -> str:
        """What the seeds are of: `seed of the batch order`, `seed of the script`."""
        return "seed of the script" if self.order.startswith(_OF_A_SCRIPT) else f"seed of the {self.order}"

    @property
    def axis(self) -> str:
        """The title of an axis of values."""
        return f"{self.label} (%)" if self.is_percentage else self.label

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

    def interval(self, found: dict[str, Any] | None) -> str:
        """The interval of a stored spread: `0.10 to 0.26`."""
        return MISSING if found is None else f"{self.spread(found['lower'])} to {self.spread(found['upper'])}"


def metric_of(study: Study) -> Metric:
    """The metric of stored results; those from before there was a choice have test accuracies in percent."""
    found = study.get("metric") or {"name": "test_accuracy", "label": "test accuracy", "unit": "percent", "decimals": 2}
    return Metric(
        name=found["name"],
        label=found["label"],
        is_percentage=found["unit"] == "percent",
        decimals=found["decimals"],
        order=study.get("seed_decides") or "batch order",
    )
