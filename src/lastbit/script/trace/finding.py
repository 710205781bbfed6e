"""What the traces of two runs show: in a sentence, as JSON, and on a page."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lastbit.report.numbers import scientific
from lastbit.report.traces import RankDistances, TracePageContent
from lastbit.script.trace.coarser import products_against
from lastbit.script.trace.collectives import MessageOrder
from lastbit.script.trace.exchanged import exchange_of, order_of
from lastbit.script.trace.places import RankComparison, TracePlace
from lastbit.script.trace.records import Record

_LARGE = 1e-2  # relative distance that no one would call rounding
_A_LINE = re.compile(r" at \S+:\d+")
_LEAST_WEIGHTS = 0.5  # share of the weights that are to be compared to call two runs the same computation
_MOST_CAUSES = 2  # settings named in a sentence
# What changes results at once, the likeliest first; the rest of a fingerprint only where none of these differs.
_LIKELY = ("torch", "device", "cpu_capability", "processor", "threads", "blas", "mkl", "onednn", "autocast")


@dataclass(frozen=True)
class TraceComparison:
    """What the traces of two runs show."""

    ranks: tuple[RankComparison, ...]  # in the order of ranks
    environments: tuple[Mapping[str, Any], Mapping[str, Any]]  # command, versions, numerics, variables; of rank 0
    notes: tuple[str, ...]  # what was not compared

    @property
    def same_bits(self) -> bool:
        """Whether all that was compared has the same bits in both runs, and the weights were."""
        return all(rank.same_bits for rank in self.ranks) and not self._too_few_weights

    @property
    def first_different(self) -> TracePlace | None:
        """The first operation with other bits: by step, then by the collectives before it, then by its place."""
        return self._first([rank.first_different for rank in self.ranks])

    @property
    def beyond_rounding(self) -> TracePlace | None:
        """The first operation that rounding does not explain, with what differs."""
        return self._first([rank.beyond_rounding for rank in self.ranks])

    def _first(self, places: Sequence[TracePlace | None]) -> TracePlace | None:
        """The first of the places of each rank."""
        known = (place for place in places if place is not None)
        return min(known, key=self._order, default=None)

    def _order(self, place: TracePlace) -> tuple[int, int, bool, int]:
        """What was received is behind all that is at the same moment: it began on another rank."""
        step, clock, index = order_of(place, self._exchange)
        return step, clock, place.received is not None, index

    @cached_property
    def _exchange(self) -> MessageOrder:
        return exchange_of(self.ranks)

    @property
    def is_rounding(self) -> bool | None:
        """Whether the runs are the same computation but for rounding; None where that cannot be told."""
        if self.beyond_rounding is not None:
            return False
        if self._too_few_weights or self._open_end or (self._saturated_at is not None and not self.same_bits):
            return None
        return True if self.same_bits or all(rank.has_envelope for rank in self.ranks) else None

    @property
    def complete(self) -> bool:
        """Whether all files go to the end of their program, or to the last step wanted: nothing was cut short."""
        return all(rank.complete for rank in self.ranks)

    @property
    def _saturated_at(self) -> int | None:
        """The first step that both came to from which on rounding explains any distance of the weights, if any."""
        steps = [r.saturated_at for r in self.ranks if r.saturated_at is not None and r.saturated_at < r.steps]
        return min(steps, default=None)

    @property
    def weights(self) -> tuple[int, int] | None:
        """Of batches divided otherwise, how many weights are compared of how many.

        Of a single process's those that any rank updates, as with ZeRO each updates some; of several processes on
        either side those of the rank where it is fewest.
        """
        counts = [rank.weights for rank in self.ranks if rank.weights is not None]
        if counts and 1 in [environment["processes"] for environment in self.environments]:
            return len(frozenset().union(*(compared for compared, _ in counts))), len(counts[0][1])
        sizes = [(len(compared), len(weights)) for compared, weights in counts]
        return min(sizes, key=lambda size: size[0] / max(1, size[1]), default=None)

    @property
    def _too_few_weights(self) -> bool:
        return self.weights is not None and self.weights[0] < _LEAST_WEIGHTS * self.weights[1]

    @property
    def _open_end(self) -> bool:
        return any(rank.open_end for rank in self.ranks)

    @property
    def settings(self) -> list[tuple[str, str, str]]:
        """What differs between the environments: name, the first run's, the second's."""
        one, other = self.environments
        names = dict.fromkeys([*one, *other])
        return [
            (name, _shown(one.get(name)), _shown(other.get(name))) for name in names if one.get(name) != other.get(name)
        ]

    @property
    def verdict(self) -> str:
        """What the comparison shows, in a sentence."""
        blank = sum(rank.blank for rank in self.ranks)
        hidden = sum(rank.not_finite for rank in self.ranks)
        noted = [*self.notes, *([f"{blank:,} results have no values to compare"] if blank else [])]
        noted += [f"{hidden:,} results are not finite and were not compared"] if hidden else []
        return f"{self._finding()}{self._undone()}{''.join(f'; {note}' for note in noted)}"

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `lastbit audit diff --json` writes it."""
        first, beyond = self.first_different, self.beyond_rounding
        return {
            "same_bits": self.same_bits,
            "complete": self.complete,
            "first_different": None if first is None else first.as_json(),
            "beyond_rounding": None if beyond is None else beyond.as_json(),
            "ranks": [rank.as_json() for rank in self.ranks],
            "environments": [dict(environment) for environment in self.environments],
            "verdict": self.verdict,
        }

    def page_content(self, names: tuple[str, str]) -> TracePageContent:
        """What the page of the comparison shows.

        Args:
            names: of the two traces.
        """
        alone = [
            [record for rank in self.ranks for record in getattr(rank, name)] for name in ("only_first", "only_second")
        ]
        return TracePageContent(
            names=names,
            result=self.as_json(),
            settings=self.settings,
            ranks=[_drawn(rank) for rank in self.ranks],
            alone=(_counted(alone[0]), _counted(alone[1])),
        )

    def _finding(self) -> str:
        first, beyond = self.first_different, self.beyond_rounding
        if beyond is not None:
            earlier = first is not None and order_of(first, self._exchange) < order_of(beyond, self._exchange)
            before = f"{self._other_bits(first)}; " if first is not None and earlier else ""
            where = f", {beyond.module}" if beyond.module else ""
            at = f" at {beyond.line}" if beyond.line and not _A_LINE.search(str(beyond.differs)) else ""
            return f"{before}leaves rounding at {_number(beyond)}{where}: {beyond.differs}{at}"
        if first is None and self._too_few_weights:
            return "nothing that can be compared differs, and hardly any weight can be"
        if first is None:
            counted = f"{sum(rank.operations for rank in self.ranks):,} operations over {self.ranks[0].steps:,} steps"
            return f"the same bits in {counted}"
        if first.alone and not any(rank.distances.distance.any() for rank in self.ranks):
            return f"{self._other_bits(first)}; the same bits in all that both do"
        if self.is_rounding:
            # Of a batch in another order, or in parts, only what becomes of the weights is to agree.
            what = "the weights stay within" if (first.distance or 0) > _LARGE else "within"
            return f"{self._other_bits(first)}; {what} rounding up to the end: the runs are the same computation"
        if self._saturated_at is not None:
            return (
                f"{self._other_bits(first)}; within rounding up to step {self._saturated_at:,}; from there on rounding"
                " explains any distance of weights or gradients, and nothing else shows another computation"
            )
        nothing = f"{self._other_bits(first)}; nothing shows another computation"
        if self._open_end:
            return f"{nothing}, but weights or results at the end are not finite"
        if all(rank.has_envelope for rank in self.ranks):
            return f"{nothing} in the weights that are compared"
        return (
            f"{nothing}, but what rounding alone does here is not known: `lastbit audit --against` measures it, or"
            " `--record` with `--rounding`"
        )

    def _undone(self) -> str:
        """That there are other intermediate values of which nothing becomes, where the runs are the same otherwise."""
        places = [place for rank in self.ranks for place in rank.undone]
        if not places or self.beyond_rounding is not None:
            return ""
        first = min(places, key=lambda place: (place.step, place.index))
        at = f" at {first.line}" if first.line else ""
        if first.undone_by == first.index:
            return f"; another argument changes nothing ({first.differs}{at}, {_number(first)})"
        return (
            f"; other intermediate values ({first.differs}{at}) from {_number(first)} on are undone by operation"
            f" {first.undone_by:,}"
        )

    def _other_bits(self, first: TracePlace) -> str:
        if first.alone:
            at = f" at {first.line}" if first.line else ""
            return f"only one run does {first.operation}{at} ({_number(first)}), and the other takes no result of it"
        differing = {name: (one, other) for name, one, other in self.settings}
        likely = [name for name in _LIKELY if name in differing]
        causes = products_against(*self.environments)
        causes += [f"{name} {differing[name][0]} against {differing[name][1]}" for name in likely[:_MOST_CAUSES]]
        why = f": {', '.join(causes)}" if causes else ""
        apart = "how far is not known" if first.distance is None else f"{scientific(first.distance)} apart"
        return f"other bits from {_number(first)} on ({first.operation}, {apart}{why})"


def _number(place: TracePlace) -> str:
    rank = f", rank {place.rank}" if place.rank else ""
    return f"operation {place.index:,}, step {place.step:,}{rank}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _drawn(rank: RankComparison) -> RankDistances:
    first, beyond, distances = rank.first_different, rank.beyond_rounding, rank.distances
    return RankDistances(
        rank=rank.rank,
        index=distances.index.tolist(),
        step=distances.step.tolist(),
        distance=distances.distance.tolist(),
        explained=distances.explained.tolist(),
        first_different=None if first is None else first.index,
        beyond_rounding=None if beyond is None else beyond.index,
    )


def _counted(records: Sequence[Record]) -> list[tuple[str, str | None, int]]:
    """Names and lines of records, each with how many there are, the most frequent first."""
    counts = Counter((record.site.name, record.site.line) for record in records)
    return [(name, line, count) for (name, line), count in counts.most_common()]
