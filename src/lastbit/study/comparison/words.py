"""The verdict of a comparison, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from lastbit.statistics.power import LEVEL

if TYPE_CHECKING:
    from lastbit.study.comparison.comparison import Comparison

_NAMED = 6  # so many lost runs are named one by one
_HUNDREDTH = 0.01  # of a point


@dataclass(frozen=True)
class Words:
    """Says what a comparison found."""

    found: Comparison

    def verdict(self) -> str:
        """Doubts, then what was found."""
        return " ".join((*self.found.doubts, self.finding()))

    def finding(self) -> str:
        """The difference, what another test set would do to it, and the runs that are not in it."""
        return " ".join(part for part in (self._difference(), self._test_set(), self._lost()) if part)

    def _difference(self) -> str:
        said = f"{self.found.a.name} − {self.found.b.name}: {self._signed(self.found.difference)}{self._unit()}"
        if self.found.interval is None:
            return f"{said}, without an interval: {self._unvaried()}."
        interval = f"95 % interval {self._interval(self.found.interval)}"
        if self.found.is_distinguishable:
            return f"{said}, {interval}: more than noise with {self._runs()} ({_p(self.found.p)})."
        return f"{said}, {interval}: not distinguishable from noise with {self._runs()}; {self._needed()}."

    def _unvaried(self) -> str:
        """What is left to say where no value varies."""
        if self.found.is_distinguishable:
            return f"it is the same in all {self._runs()} (permutations: {_p(self.found.p)})"
        said = f"not distinguishable from noise with {self._runs()}"
        if self.found.replicates.is_constant:
            said += ", whose spread is not known since they do not vary"
        if self.found.difference == 0:
            return said
        if self.found.p > LEVEL:
            return f"{said}; the smallest p that so few runs can give is {self.found.permutation.least_p:.2g}"
        return f"{said}; were each a run of its own, permutations would give {_p(self.found.p)}"

    def _needed(self) -> str:
        if self.found.difference == 0:
            return f"such a comparison shows gains of {self._plain(self.found.detectable)}{self._unit()} and more"
        runs = self.found.runs_needed()
        if runs is None:
            return "a million runs of each would not show a difference this small"
        each = "" if self.found.replicates.only_seed is not None or self._single() else ", each with its own seed,"
        return f"if it is real, {runs} runs of each{each} would show it (80 % power)"

    def _runs(self) -> str:
        counts = [int((side.values == side.values).sum()) for side in (self.found.a, self.found.b)]
        if self.found.replicates.only_seed is not None:
            counts = [len(self.found.replicates.a), len(self.found.replicates.b)]
        runs = f"{_each(*counts)} runs"
        if self.found.replicates.only_seed is not None or self._single():
            return f"{runs} of each" if counts[0] == counts[1] else runs
        return f"{_each(len(self.found.replicates.a), len(self.found.replicates.b))} seeds ({runs}) of each"

    def _single(self) -> bool:
        return len(self.found.a.noises) == len(self.found.b.noises) == 1

    def _test_set(self) -> str:
        examples = self.found.examples
        if examples is None or self.found.interval is None:
            return ""
        wide = examples.any_test_set
        only = self.found.is_distinguishable and wide.p > LEVEL
        begin = "That holds for this test set alone: over" if only else "Over"
        interval = self._interval((wide.lower, wide.upper))
        return f"{begin} other test sets of {examples.examples:,} examples the interval is {interval}."

    def _lost(self) -> str:
        return " ".join(
            f"Not counted in {side.name}: {_listed(side.lost)}." for side in (self.found.a, self.found.b) if side.lost
        )

    def _unit(self) -> str:
        return f" {self.found.unit}" if self.found.unit else ""

    def _interval(self, bounds: tuple[float, float]) -> str:
        return f"{self._plain(bounds[0])} to {self._plain(bounds[1])}"

    def _signed(self, value: float) -> str:
        return f"{value:+.{self._decimals()}f}"

    def _plain(self, value: float) -> str:
        return f"{value:.{self._decimals()}f}"

    def _decimals(self) -> int:
        """Two for percentages; otherwise, or where that hides the standard error, two significant digits of it."""
        error = self.found.standard_error or abs(self.found.difference)
        if error == 0 or (self.found.unit and error >= _HUNDREDTH):
            return 2
        return max(0, min(300, 1 - floor(log10(error))))


def _each(one: int, other: int) -> str:
    return str(one) if one == other else f"{one} and {other}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _listed(labels: tuple[str, ...]) -> str:
    shown = "; ".join(labels[:_NAMED])
    return shown if len(labels) <= _NAMED else f"{shown}; and {len(labels) - _NAMED} more"
