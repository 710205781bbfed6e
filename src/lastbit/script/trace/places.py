"""What the traces of two processes show: the places at which they differ, and how far apart they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeAlias

import numpy as np

from lastbit.script.trace.collectives import Collective
from lastbit.script.trace.distance import Array
from lastbit.script.trace.records import Record

MARGIN = 8.0  # by which rounding may exceed what the noise does
# The largest relative distance that rounding explains of an output of a record of the first trace, given the record and
# the output's place in it; None where that is not known.
Envelope: TypeAlias = Callable[[Record, int], float | None]


@dataclass(frozen=True)
class RoundingEnvelope:
    """The largest relative distance that rounding explains of each output of a trace's records."""

    # By the record's index and the place of the output in it; infinite where nothing can be told.
    limits: Mapping[tuple[int, int], float]
    saturated_at: int | None  # first step from which on rounding explains any distance; None if none
    # Of each output too, the largest logarithm of the ratio of two norms; infinite where it is missing.
    growths: Mapping[tuple[int, int], float] = field(default_factory=dict)

    def __call__(self, record: Record, place: int) -> float | None:
        """The limit of an output, infinite where no run with noise has it; None where the trace has no such output.

        Args:
            record: of the trace.
            place: which of the record's outputs.
        """
        return self.limits.get((record.index, place))

    def growth(self, record: Record, place: int) -> float:
        """The largest logarithm of the ratio of the norms of an output in two runs, without its sign.

        Args:
            record: of the trace.
            place: which of the record's outputs.
        """
        return self.growths.get((record.index, place), inf)


@dataclass(frozen=True)
class TracePlace:
    """An operation at which two traces differ; all but its distance is the first trace's."""

    operation: str  # aten::convolution
    index: int  # in the trace, from 0
    rank: int
    phase: str
    step: int  # optimizer steps before it
    module: str | None
    line: str | None
    distance: float | None  # ‖x − y‖ / max(‖x‖, ‖y‖); None where only one trace has a tensor, or either is not finite
    differs: str | None = None  # what differs, where rounding does not explain it
    alone: bool = False  # whether only one trace has the operation
    by_values: bool = False  # whether it is known by values that no operation's arguments explain
    undone_by: int | None = None  # the last operation by which nothing is left of the difference, where that is so
    received: str | None = None  # the collective by which the difference came from another process, with its line

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        left_out = {"alone", "by_values", "received"}
        left_out |= {name for name in ("differs", "undone_by") if vars(self)[name] is None}
        return {name: value for name, value in vars(self).items() if name not in left_out}


@dataclass(frozen=True)
class TraceDistances:
    """How far two traces are apart, in the order of the first."""

    index: Array  # of the record, shape (n,)
    step: Array  # optimizer steps before it, shape (n,)
    # Of the record's result that is farthest beyond its limit, or nearest to it, shape (n,).
    distance: Array  # relative; infinite where only one of two is finite
    explained: Array  # by rounding; NaN where it is not known

    def by_step(self) -> list[dict[str, float]]:
        """Of each step, `distance` and `explained` of the operation farthest beyond its limit, or nearest to it.

        Where no limit is known, those of the operation whose results are farthest apart.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.nan_to_num(self.distance / self.explained, nan=-1.0, posinf=np.inf)
        order = np.lexsort((self.distance, excess, self.step))
        last = order[np.append(np.diff(self.step[order]) != 0, True)] if len(order) else order
        return [
            {"step": int(self.step[i]), "distance": float(self.distance[i]), "explained": float(self.explained[i])}
            for i in last
        ]


@dataclass(frozen=True)
class RankComparison:
    """What two traces of one process show."""

    rank: int
    operations: int  # of the first trace that were compared
    steps: int  # optimizer steps that both came to
    same_bits: bool
    first_different: TracePlace | None
    beyond_rounding: TracePlace | None
    has_envelope: bool
    distances: TraceDistances
    only_first: Sequence[Record]  # operations without a partner
    only_second: Sequence[Record]
    collectives: Sequence[Collective] = ()  # of the first trace, in order
    # With batches that are divided otherwise, the weights that are compared, and all, by numbers of their values; of a
    # single process, with which all ranks are compared, where there is one. Else None.
    weights: tuple[frozenset[int], frozenset[int]] | None = None
    # First step from which on rounding explains any distance of the weights; None where none is known.
    saturated_at: int | None = None
    # What was not recorded of either run, by kind, how often.
    unseen: tuple[Mapping[str, int], Mapping[str, int]] = field(default_factory=lambda: ({}, {}))
    blank: int = 0  # results in both runs of which one at least has no values that can be looked at
    undone: Sequence[TracePlace] = ()  # operations with other arguments of which nothing becomes, in order
    not_finite: int = 0  # results with other bits that are not finite in one run at least, and not judged
    open_end: bool = False  # whether weights are among them, or results that nothing else takes
    notes: tuple[str, ...] = field(default=())  # how far the files go
    complete: bool = True  # whether both go to the program's end, or the last step wanted

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        first, beyond = self.first_different, self.beyond_rounding
        return {
            "rank": self.rank,
            "same_bits": self.same_bits,
            "rounding_explains_all_from": self.saturated_at,
            "unseen": [dict(counts) for counts in self.unseen],
            "without_partner": [len(self.only_first), len(self.only_second)],
            "without_values": self.blank,
            "undone": self.undone[0].as_json() if self.undone else None,
            "not_finite": self.not_finite,
            "first_different": None if first is None else first.as_json(),
            "beyond_rounding": None if beyond is None else beyond.as_json(),
            "steps": self.distances.by_step(),
        }
