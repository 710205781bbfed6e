"""The controls: runs that must be bit-identical, or the study has another source of noise than its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lastbit.study.agreement import Agreement, Differing


class ControlsFailedError(RuntimeError):
    """Runs that must agree bit for bit do not."""

    def __init__(self, controls: "Controls") -> None:
        super().__init__(controls.complaint)
        self.controls = controls


@dataclass(frozen=True)
class Controls:
    """Which control runs agreed with those they were held against: in weights, predictions and the compared metric."""

    found: Mapping[str, Agreement]  # name of the control -> in what its two runs agree
    metric: str = ""  # that is compared

    @property
    def agree(self) -> dict[str, bool]:
        """Whether each control agrees in all that the study reports."""
        return {name: found.holds(self.metric) for name, found in self.found.items()}

    @property
    def passed(self) -> bool:
        """Whether every control agreed."""
        return all(self.agree.values())

    @property
    def trained_alike(self) -> bool:
        """Whether the weights agree bit for bit, so that a control that failed blames the evaluation alone."""
        return all(found.weights and not found.unexplained(self.metric) for found in self.found.values())

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
            found = self.found[failed[0]].decisive(self.metric)
            return f"the controls failed: {_ALIKE.get(failed[0], failed[0])}. {random_evaluation(found)}"
        blamed = [name for name in failed if not self._trained_alike(name)]
        parts = [_MEANING.get(name, name) for name in blamed[1:]]
        parts.insert(0, _MEANING.get(blamed[0], blamed[0]) + self._detail(blamed[0]))
        return (
            f"the controls failed: {' and '.join(parts)}. Something else than the study's noise changes the bits (an "
            "unseeded generator, threads, a nondeterministic kernel), so its numbers would mean nothing"
        )

    @property
    def random_metrics(self) -> str:
        """That metrics besides the compared one are random, which belongs before any number; empty where none is."""
        found = [each for each in self._not_compared() if not each.measures_the_machine]
        if not found:
            return ""
        one = len(found) == 1
        return (
            f"{_listed(found)} {'is' if one else 'are'} random: the controls give {'it' if one else 'them'} different "
            f"values; no number is given of {'it' if one else 'them'}."
        )

    @property
    def note(self) -> str:
        """The times and the like that differ and are not compared; empty where there are none."""
        found = [each for each in self._not_compared() if each.measures_the_machine]
        if not found:
            return ""
        return (
            f"{_listed(found)} differ{'s' if len(found) == 1 else ''} between control runs whose other results agree: "
            "as times and memory do from run to run, not only by the noise."
        )

    def _not_compared(self) -> list[Differing]:
        """What differs where all that is compared agrees, once for each metric."""
        every = [each for agreement in self.found.values() for each in agreement.differing if self.passed]
        return [each for i, each in enumerate(every) if each.metric not in [other.metric for other in every[:i]]]

    def as_json(self) -> dict[str, Any]:
        """What each control found to differ, as plain data."""
        return {name: [each.as_json() for each in found.differing] for name, found in self.found.items()}

    def _trained_alike(self, name: str) -> bool:
        return self.found[name].weights and not self.found[name].unexplained(self.metric)

    def _detail(self, name: str) -> str:
        """Where no weights tell that the training differs, the results that do."""
        found = self.found[name]
        if not found.weights:
            return ""
        kept = "no weights were kept" if found.kept is None else f"no weights were kept after step {found.kept}"
        return f" in {_listed(found.unexplained(self.metric))} ({kept} to tell training from evaluation)"


def together(kinds: Sequence[Controls]) -> Controls:
    """The controls of each kind of arithmetic as one: of each control, the first that failed."""
    first = kinds[0]
    found = {
        name: next((each.found[name] for each in kinds if not each.agree[name]), first.found[name])
        for name in first.found
    }
    return replace(first, found=found)


def random_evaluation(found: Sequence[Differing]) -> str:
    """What it means that these results differ though the weights are the same bit for bit, and what to do."""
    found = [each for each in found if not each.counts] or found
    differs = f"{_listed(found)} differ{'s' if len(found) == 1 and found[0].metric is not None else ''}"
    if all(each.counts for each in found):
        return (
            f"But {differs} in how many values a run gave, so no number is given. Let every run give the metric at the "
            "same steps; where files or output of a run were changed or lost since, run it again in another directory"
        )
    if all(each.measures_the_machine for each in found):
        return (
            f"But {differs}, as times and memory do from run to run: there is no number for the last bit. Compare "
            "another metric"
        )
    return (
        f"But {differs}: the evaluation is random, and its chance would be taken for the last bit's, so no number is "
        "given. Seed the evaluation (a generator of its own, such as numpy.random.default_rng(0) or "
        "torch.Generator().manual_seed(0)), test on the same examples in the same order, and call model.eval()"
    )


def _listed(found: Sequence[Differing]) -> str:
    return " and ".join(map(str, found))


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
