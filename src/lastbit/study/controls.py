"""The controls: runs that must be bit-identical, or the study has another source of noise than its own."""

from collections.abc import Mapping
from dataclasses import dataclass


class ControlsFailedError(RuntimeError):
    """Runs that must agree bit for bit do not."""

    def __init__(self, controls: "Controls") -> None:
        super().__init__(controls.complaint)
        self.controls = controls


@dataclass(frozen=True)
class Controls:
    """Which control runs agreed bit for bit with those they were held against."""

    agree: Mapping[str, bool]  # name of the control -> whether both digests are the same

    @property
    def passed(self) -> bool:
        """Whether every control agreed."""
        return all(self.agree.values())

    @property
    def complaint(self) -> str:
        """What is wrong, what it means and what to look for, in one line; empty where all passed."""
        failed = " and ".join(_MEANING.get(name, name) for name, agrees in self.agree.items() if not agrees)
        if not failed:
            return ""
        return (
            f"the controls failed: {failed}. Something else than the study's noise changes the bits (an unseeded "
            "generator, threads, a nondeterministic kernel), so its numbers would mean nothing"
        )


_MEANING = {
    "repeat": "the same run twice gave different bits",
    "power_of_two": "dividing and multiplying by 2, which rounds nothing, gave different bits",
    "null": "the noise turned off gave other bits than no noise at all",
}
