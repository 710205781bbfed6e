"""Compares the traces of two runs, of one process or of many, and says in a sentence what they show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.errors import LastbitError
from lastbit.report.numbers import scientific
from lastbit.report.traces import TracePageContent
from lastbit.script.trace.differences import compare_rank
from lastbit.script.trace.places import Envelope, RankComparison, TracePlace
from lastbit.script.trace.records import Record, RunTrace

_LARGE = 1e-2  # relative distance that no one would call rounding
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
        """Whether all that was compared has the same bits in both runs."""
        return all(rank.same_bits for rank in self.ranks)

    @property
    def first_different(self) -> TracePlace | None:
        """The first operation with other bits, by step and then by its place in its process."""
        return _first(rank.first_different for rank in self.ranks)

    @property
    def beyond_rounding(self) -> TracePlace | None:
        """The first operation that rounding does not explain, with what differs."""
        return _first(rank.beyond_rounding for rank in self.ranks)

    @property
    def is_rounding(self) -> bool | None:
        """Whether the runs are the same computation but for rounding; None where that cannot be told."""
        if self.beyond_rounding is not None:
            return False
        return True if self.same_bits or all(rank.has_envelope for rank in self.ranks) else None

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
        return f"{self._finding()}{''.join(f'; {note}' for note in self.notes)}"

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `lastbit audit diff --json` writes it."""
        first, beyond = self.first_different, self.beyond_rounding
        return {
            "same_bits": self.same_bits,
            "first_different": None if first is None else first.as_json(),
            "beyond_rounding": None if beyond is None else beyond.as_json(),
            "environments": [dict(environment) for environment in self.environments],
            "verdict": self.verdict,
        }

    def page_content(self, names: tuple[str, str]) -> TracePageContent:
        """What the page of the comparison shows.

        Args:
            names: of the two traces.
        """
        rank = self.ranks[0]
        return TracePageContent(
            names=names,
            result=self.as_json(),
            settings=self.settings,
            index=rank.distances.index.tolist(),
            step=rank.distances.step.tolist(),
            distance=rank.distances.distance.tolist(),
            explained=rank.distances.explained.tolist(),
            alone=(_counted(rank.only_first), _counted(rank.only_second)),
        )

    def _finding(self) -> str:
        first, beyond = self.first_different, self.beyond_rounding
        if beyond is not None:
            earlier = first is not None and (first.step, first.index) < (beyond.step, beyond.index)
            before = f"{self._other_bits(first)}; " if first is not None and earlier else ""
            where = f", {beyond.module}" if beyond.module else ""
            at = f" at {beyond.line}" if beyond.line and beyond.line not in str(beyond.differs) else ""
            return f"{before}leaves rounding at {_number(beyond)}{where}: {beyond.differs}{at}"
        if first is None:
            counted = f"{sum(rank.operations for rank in self.ranks):,} operations over {self.ranks[0].steps:,} steps"
            return f"the same bits in {counted}"
        if first.distance is None and not any(rank.distances.distance.any() for rank in self.ranks):
            return f"{self._other_bits(first)}; the same bits in all that both do"
        if self.is_rounding:
            # Of a batch in another order, or in parts, only what becomes of the weights is to agree.
            what = "the weights stay within" if (first.distance or 0) > _LARGE else "within"
            return f"{self._other_bits(first)}; {what} rounding up to the end: the runs are the same computation"
        single = all(environment["processes"] == 1 for environment in self.environments)
        how = "`lastbit audit --against` measures it" if single else "it is measured for runs of one process only"
        return (
            f"{self._other_bits(first)}; nothing shows another computation, but what rounding alone does here is not "
            f"known: {how}"
        )

    def _other_bits(self, first: TracePlace) -> str:
        if first.distance is None:
            at = f" at {first.line}" if first.line else ""
            return f"only one run does {first.operation}{at} ({_number(first)}), and the other takes no result of it"
        differing = {name: (one, other) for name, one, other in self.settings}
        likely = [name for name in _LIKELY if name in differing]
        causes = [f"{name} {differing[name][0]} against {differing[name][1]}" for name in likely[:_MOST_CAUSES]]
        why = f": {', '.join(causes)}" if causes else ""
        return f"other bits from {_number(first)} on ({first.operation}, {scientific(first.distance)} apart{why})"


def compare_traces(
    one: RunTrace | Sequence[RunTrace], other: RunTrace | Sequence[RunTrace], envelope: Envelope | None = None
) -> TraceComparison:
    """Compare the traces of two runs of one program.

    Operations are aligned by what they are and by what they give, so neither number nor order need agree. A difference
    counts as another computation where it is larger than rounding explains and reaches the weights, or a result that
    nothing else takes; it is followed back to the operation where it begins. So a gradient that one run has in parts,
    of accumulated batches or of several processes, is none as long as their sum agrees.

    Args:
        one: the reference: a trace, or one for each process. Places are named as they are in it.
        other: the other run's.
        envelope: for a record of the reference and the place of one of its outputs, the largest relative distance that
            rounding explains, or None. Without an envelope only what no rounding does is said to be another
            computation.

    Raises:
        LastbitError: the traces are of different programs, one holds no operation, or one of a run's processes is
            missing.
    """
    runs = [[run] if isinstance(run, RunTrace) else sorted(run, key=_rank) for run in (one, other)]
    for run in runs:
        _check_ranks(run)
    ranks = tuple(compare_rank(mine, theirs, envelope) for mine, theirs in zip(*runs, strict=False))
    notes = [*ranks[0].notes]
    notes += [f"rank {rank.rank}: {note}" for rank in ranks[1:] for note in rank.notes if note not in ranks[0].notes]
    sizes = [len(run) for run in runs]
    if sizes[0] != sizes[1]:
        notes.append(f"{sizes[0]} processes against {sizes[1]}: only the first {min(sizes)} are compared")
    return TraceComparison(ranks, (_environment(runs[0][0]), _environment(runs[1][0])), tuple(dict.fromkeys(notes)))


def _check_ranks(run: Sequence[RunTrace]) -> None:
    if not run:
        raise LastbitError("there is no trace to compare")
    size = run[0].header.world_size
    ranks = [_rank(trace) for trace in run]
    missing = sorted(set(range(size)) - set(ranks))
    if missing:
        command = " ".join(run[0].header.command)
        raise LastbitError(
            f"the run {command} has {size} processes: the trace of rank {', '.join(map(str, missing))} is missing"
        )


def _rank(trace: RunTrace) -> int:
    return trace.header.rank


def _first(places: Any) -> TracePlace | None:
    return min((place for place in places if place is not None), key=lambda p: (p.step, p.index), default=None)


def _environment(trace: RunTrace) -> dict[str, Any]:
    """What a run was computed with, by name."""
    header = trace.header
    return {
        "command": " ".join(header.command),
        "processes": header.world_size,
        **trace.numerics,
        **{f"package.{name}": version for name, version in header.packages.items()},
        **{f"environment.{name}": value for name, value in header.environment.items()},
    }


def _number(place: TracePlace) -> str:
    rank = f", rank {place.rank}" if place.rank else ""
    return f"operation {place.index:,}, step {place.step:,}{rank}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _counted(records: Sequence[Record]) -> list[tuple[str, str | None, int]]:
    """Names and lines of records, each with how many there are, the most frequent first."""
    counts = Counter((record.site.name, record.site.line) for record in records)
    return [(name, line, count) for (name, line), count in counts.most_common()]
