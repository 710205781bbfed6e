"""Compares the traces of two processes: the first other bits, and the first place that rounding does not explain."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TypeGuard

import numpy as np

from lastbit.errors import shortened
from lastbit.script.trace.aligned import AlignedTraces, place_of
from lastbit.script.trace.beyond import BeyondRounding
from lastbit.script.trace.collectives import collectives_of
from lastbit.script.trace.graph import OPTIMIZER, TraceGraph
from lastbit.script.trace.one_operation import EPSILON
from lastbit.script.trace.places import Envelope, RankComparison, RoundingEnvelope, TracePlace
from lastbit.script.trace.records import COLLECTIVES, PARTS, RunTrace

_MOST_NAMED = 3
_SCALED = ("aten::_amp_",)  # begin the names of those that look for infinite gradients, whose step is then left out


def compare_rank(one: RunTrace, other: RunTrace, envelope: Envelope | None, *, divided: bool = False) -> RankComparison:
    """Compare two traces of one process.

    Args:
        one: the reference, whose operations are named.
        other: the other.
        envelope: what rounding explains, as the noise of last bits has shown it. Without it only what is certain is
            said to be another computation.
        divided: whether the runs divide their batches otherwise, as `AlignedTraces` says.

    Raises:
        LastbitError: hardly any operation of the one is in the other: they are traces of different programs.
    """
    whole = one, other
    one, other = up_to_the_last_step_wanted(one, other)
    traces = AlignedTraces(one, other, envelope, divided=divided)
    beyond = BeyondRounding(traces)
    hidden = _not_finite(traces)
    first, other_computation = first_different(traces, beyond), beyond.first()
    if not divided and _is_before(other_computation, first):
        # As where what follows cannot be compared number by number until a collective has joined it.
        first = replace(other_computation, differs=None, by_values=False, received=None)
    return RankComparison(
        rank=one.header.rank,
        operations=traces.operations,
        steps=min(one.steps, other.steps),
        same_bits=first is None,
        first_different=first,
        beyond_rounding=other_computation,
        has_envelope=envelope is not None,
        saturated_at=traces.envelope.saturated_at if isinstance(traces.envelope, RoundingEnvelope) else None,
        distances=traces.distances(),
        collectives=collectives_of(traces.one.records, one.events),
        weights=traces.weights if divided else None,
        only_first=[traces.one.records[index] for index in traces.alignment.only_one],
        only_second=[traces.other.records[index] for index in traces.alignment.only_other],
        unseen=(whole[0].unseen, whole[1].unseen),
        blank=_without_values(traces),
        undone=beyond.undone,
        not_finite=len(hidden),
        open_end=any(_is_end(traces, value) for value in hidden),
        notes=(*_other_types(traces), *_left_over(traces, first), *_notes(*whole), *_not_compared(*whole)),
        complete=one.ended and other.ended,
    )


def _is_before(place: TracePlace | None, first: TracePlace | None) -> TypeGuard[TracePlace]:
    """Whether a place at which results differ is before the first at which bits were seen to."""
    return place is not None and first is not None and place.index < first.index and place.distance != 0


def _stopped_at(trace: RunTrace) -> float:
    """After how many optimizer steps a recording was told to stop, and did; infinite where the program ended."""
    wanted = trace.header.steps
    return inf if wanted is None or trace.steps < wanted else wanted


def up_to_the_last_step_wanted(one: RunTrace, other: RunTrace) -> tuple[RunTrace, RunTrace]:
    """Both traces up to the optimizer step after which the recording of either was told to stop.

    Args:
        one: the one trace.
        other: the other.
    """
    last = min(_stopped_at(one), _stopped_at(other))
    return _up_to(one, last), _up_to(other, last)


def _up_to(trace: RunTrace, last: float) -> RunTrace:
    end = bisect_left(trace.records, last, key=lambda record: record.step)
    if end == len(trace.records) and trace.steps <= last:
        return trace
    states = {step: state for step, state in trace.generators.items() if step <= last}
    return replace(trace, records=trace.records[:end], generators=states)


def first_different(traces: AlignedTraces, beyond: BeyondRounding) -> TracePlace | None:
    """The first record with other bits, that takes another part, or whose results lead nowhere in the other trace."""
    differing = traces.values[traces.have_other_bits & traces.comparable]
    if not len(differing) and not traces.divided:
        differing = traces.values[traces.have_other_bits]
    places = [(traces.record(value).index, value) for value in differing[:1].tolist()]
    if traces.divided:
        return None if not places else _where_bits_differ(traces, *places[0])
    alone = [
        _outside_graphs(graph, only, other)
        for graph, only, other in (
            (traces.one, traces.alignment.only_one, traces.other),
            (traces.other, traces.alignment.only_other, traces.one),
        )
    ]
    ends = [(index, -1) for index in loose_ends(traces.one, alone[0])[:1]]
    parts = beyond.by_arguments
    if parts is not None and parts.operation in PARTS and all(parts.index < index for index, _ in [*places, *ends]):
        return replace(parts, differs=None)
    if places or ends:
        return _where_bits_differ(traces, *min([*places, *ends]))
    if there := loose_ends(traces.other, alone[1]):
        return replace(place_of(traces.other, there[0], None), index=_in_first(traces, there[0]), alone=True)
    longer = beyond.by_length()
    return None if longer is None else replace(longer, alone=True)


def _in_first(traces: AlignedTraces, there: int) -> int:
    """Where an operation of the second trace alone would stand in the first: behind all that is before it in both."""
    return max((here for (here, _), (index, _) in traces.alignment.items.items() if index < there), default=-1) + 1


def _where_bits_differ(traces: AlignedTraces, index: int, value: int) -> TracePlace:
    """The place of a record, with the distance of a value that it gives; of none where the value is negative."""
    if value < 0:
        return replace(traces.place(index, None), alone=True)
    return traces.place(index, traces.search.distance((value, traces.alignment.values[value])))


def _outside_graphs(graph: TraceGraph, only: Sequence[int], other: TraceGraph) -> list[int]:
    """Those of the operations of one trace alone that cannot be inside a compiled graph of the other.

    Inside one may be what belongs to the phase of a step in which the other trace calls compiled graphs, and this none.
    """
    inside = other.compiled_phases - graph.compiled_phases
    records = (graph.records[index] for index in only)
    return [record.index for record in records if (record.step, record.site.phase) not in inside]


def loose_ends(graph: TraceGraph, only: Sequence[int]) -> list[int]:
    """Those of the operations of one trace alone whose results no aligned operation takes, not through others either.

    Args:
        graph: of the trace.
        only: the operations, by their records, in order.
    """
    consumers: dict[int, list[int]] = {}
    for record in graph.records if only else ():
        for origin in record.inputs:
            if origin is not None:
                consumers.setdefault(origin[0], []).append(record.index)
    loose: set[int] = set()
    for index in reversed(only):
        if all(reader in loose for reader in consumers.get(index, ())):
            loose.add(index)
    return sorted(loose)


def _other_types(traces: AlignedTraces) -> list[str]:
    """That results have floating-point numbers of another type in the other run, as under autocast."""
    sides = [[graph.summaries[value].dtype for value in values.tolist()]
             for graph, values in ((traces.one, traces.values), (traces.other, traces.partners))]  # fmt: skip
    counts = Counter(pair for pair in zip(*sides, strict=True) if pair[0] != pair[1] and EPSILON.keys() >= {*pair})
    return [
        f"{count:,} result{'s are' if count > 1 else ' is'} {mine} in the first run and {other} in the second"
        for (mine, other), count in counts.most_common(_MOST_NAMED)
    ]


def _left_over(traces: AlignedTraces, first: TracePlace | None) -> list[str]:
    """Which operations only one run does, where all that both do has the same bits: of these nothing becomes."""
    sides = [("first", traces.one, traces.alignment.only_one), ("second", traces.other, traces.alignment.only_other)]
    notes = []
    for which, graph, only in sides if first is None and not traces.divided else ():
        records = [graph.records[index] for index in only]
        names = dict.fromkeys(f"{r.site.name} at {r.site.line}" if r.site.line else r.site.name for r in records)
        if names:
            alone = f"{len(only):,} operation{'s' if len(only) > 1 else ''} in the {which} run alone"
            notes.append(f"{alone}, of which nothing becomes: {shortened(list(names), _MOST_NAMED)}")
    return notes


def _notes(one: RunTrace, other: RunTrace) -> list[str]:
    """How far each file goes, where it does not go to the program's end, or farther than the other was to."""
    last, most = min(_stopped_at(one), _stopped_at(other)), max(one.steps, other.steps)
    stopped = [f"compared are the first {last:,} of {most:,} optimizer steps: one recording was told to stop there"]
    return (stopped if last < most else []) + [
        f"the {which} trace ends after {len(trace.records):,} operations, in step {trace.records[-1].step:,}: "
        f"{_why_it_ends(trace)}"
        for which, trace in (("first", one), ("second", other))
        if not trace.ended
    ]


def _without_values(traces: AlignedTraces) -> int:
    """How many results of both runs cannot be compared: sparse ones, say, and copies of memory that nobody wrote."""
    blank = ~(traces.one.plain[traces.values] & traces.other.plain[traces.partners])
    names = [traces.record(value).site.name for value in traces.values[blank].tolist()]
    return sum(name not in PARTS and not name.startswith(COLLECTIVES) for name in names)


def _not_finite(traces: AlignedTraces) -> list[int]:
    """The values with other bits that are not finite in one run at least, where nothing says how far they may be."""
    hidden = traces.have_other_bits & traces.comparable & ~np.isfinite(traces.apart) & ~traces.far
    values: list[int] = traces.values[hidden].tolist()
    return values


def _is_end(traces: AlignedTraces, value: int) -> bool:
    """Whether a value is a result of an update, or one that nothing takes; a gradient that is thrown away is none."""
    site = traces.record(value).site
    return not site.name.startswith(_SCALED) and (site.phase == OPTIMIZER or value not in traces.one.taken)


def _not_compared(one: RunTrace, other: RunTrace) -> list[str]:
    """What the recordings could not see, as compiled programs that run without being compiled."""
    notes = []
    for which, trace in (("first", one), ("second", other)):
        kinds = [f"{name} ({count:,})" for name, count in trace.unseen.items()]
        if kinds:
            notes.append(f"not recorded in the {which} run, and not compared: {shortened(kinds, _MOST_NAMED)}")
    return notes


def _why_it_ends(trace: RunTrace) -> str:
    if trace.damaged:
        return f"the file is damaged there, and {trace.torn:,} bytes from there on are not read"
    torn = f", and {trace.torn:,} bytes at the end of the file are not whole" if trace.torn else ""
    return f"the program was stopped before its end{torn}"
