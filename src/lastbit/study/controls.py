"""The controls: runs that must be bit-identical, or something besides the study's noise changes the results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lastbit.report.numbers import joined
from lastbit.study.agreement import Agreement, Differing


class ControlsFailedError(RuntimeError):
    """Runs that must agree bit for bit do not."""

    def __init__(self, controls: "Controls") -> None:
        super().__init__(controls.complaint)
        self.controls = controls


@dataclass(frozen=True)
class Controls:
    """Which control runs agreed with their references: in weights, predictions and the compared metric."""

    agreements: Mapping[str, Agreement]  # name of the control -> in what its two runs agree
    metric: str = ""  # that is compared

    @property
    def agree(self) -> dict[str, bool]:
        """Whether each control agrees in all that the study reports."""
        return {name: agreement.holds(self.metric) for name, agreement in self.agreements.items()}

    @property
    def passed(self) -> bool:
        """Whether every control agreed."""
        return all(self.agree.values())

    @property
    def trained_alike(self) -> bool:
        """Whether the weights agree bit for bit, so that only the evaluation can have failed a control."""
        return all(agreement.trained_alike(self.metric) for agreement in self.agreements.values())

    def about(self, metric: str) -> "Controls":
        """The same runs, where another metric is compared."""
        return replace(self, metric=metric)

    @property
    def complaint(self) -> str:
        """What is wrong, what it means and what to look for, in one line; empty where all passed."""
        failed = [name for name, agrees in self.agree.items() if not agrees]
        if not failed:
            return ""
        if self.trained_alike:
            differing = self.agreements[failed[0]].decisive(self.metric)
            return f"the controls failed: {_ALIKE.get(failed[0], failed[0])}. {random_evaluation(differing)}"
        blamed = [name for name in failed if not self.agreements[name].trained_alike(self.metric)]
        parts = [_MEANING.get(name, name) for name in blamed]
        parts[0] += self._detail(self.agreements[blamed[0]])
        return (
            f"the controls failed: {' and '.join(parts)}. Something besides the study's noise changes the bits (an "
            "unseeded generator, threads, a nondeterministic kernel), so its numbers would mean nothing"
        )

    @property
    def random_metrics(self) -> str:
        """The metrics besides the compared one that are random, a warning before any number; empty where none is."""
        random = [result for result in self._not_compared() if not result.measures_the_machine]
        if not random:
            return ""
        verb, them = ("is", "it") if len(random) == 1 else ("are", "them")
        return (
            f"{_listed(random)} {verb} random: the controls give {them} different values; no number is given of {them}."
        )

    @property
    def note(self) -> str:
        """The times and the like that differ and are not compared; empty where there are none."""
        machine = [result for result in self._not_compared() if result.measures_the_machine]
        if not machine:
            return ""
        return (
            f"{_listed(machine)} differ{'s' if len(machine) == 1 else ''} between control runs whose other results "
            "agree: as times and memory do from run to run, not only by the noise."
        )

    def _not_compared(self) -> list[Differing]:
        """What differs where all that is compared agrees, the first of each metric."""
        first: dict[str | None, Differing] = {}
        for result in [result for agreement in self.agreements.values() for result in agreement.differing]:
            first.setdefault(result.metric, result)
        return list(first.values()) if self.passed else []

    def as_json(self) -> dict[str, Any]:
        """The results that differ in each control, as plain data."""
        return {name: [result.as_json() for result in pair.differing] for name, pair in self.agreements.items()}

    def _detail(self, agreement: Agreement) -> str:
        """Where no weights tell that the training differs, the results that do."""
        if not agreement.weights:
            return ""
        after = "" if agreement.kept is None else f" after step {agreement.kept}"
        differing = _listed(agreement.unexplained(self.metric))
        return f" in {differing} (no weights were kept{after} to tell training from evaluation)"


def together(kinds: Sequence[Controls]) -> Controls:
    """The controls of each kind of numerics as one: of each control, the first that failed."""
    first = kinds[0]
    agreements = {
        name: next((kind.agreements[name] for kind in kinds if not kind.agree[name]), agreement)
        for name, agreement in first.agreements.items()
    }
    return replace(first, agreements=agreements)


def random_evaluation(differing: Sequence[Differing]) -> str:
    """What it means that these results differ though the weights are the same bit for bit, and what to do."""
    differing = [result for result in differing if not result.counts] or differing
    differs = f"{_listed(differing)} differ{'s' if len(differing) == 1 and differing[0].metric is not None else ''}"
    if all(result.counts for result in differing):
        return (
            f"But {differs} in how many values a run gave, so no number is given. Let every run give the metric at the "
            "same steps; where files or output of a run were changed or lost since, run it again in another directory"
        )
    if all(result.measures_the_machine for result in differing):
        return (
            f"But {differs}, as times and memory do from run to run: there is no number for the last bit. Compare "
            "another metric"
        )
    return (
        f"But {differs}: the evaluation is random, and its chance would be taken for the last bit's, so no number is "
        "given. Seed the evaluation (a separate generator, such as numpy.random.default_rng(0) or "
        "torch.Generator().manual_seed(0)), test on the same examples in the same order, and call model.eval()"
    )


def _listed(differing: Sequence[Differing]) -> str:
    return joined(map(str, differing))


_MEANING = {
    "repeat": "the same run twice gave different bits",
    "power_of_two": "dividing and multiplying by 2, which rounds nothing, gave different bits",
    "null": "the noise turned off gave other bits than no noise at all",
}
_ALIKE = {
    "repeat": "the same run twice gave the same weights bit for bit",
    "power_of_two": "dividing and multiplying by 2, which rounds nothing, gave the same weights bit for bit",
    "null": "the noise turned off gave the weights of no noise at all, bit for bit",
}
