"""How far apart rounding alone brings two runs, place by place: learnt from runs with noise in every operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from lastbit.errors import LastbitError
from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.graph import OPTIMIZER, UNKNOWN, Array, TraceGraph, is_list
from lastbit.script.trace.one_operation import EPSILON, limit_of_one
from lastbit.script.trace.records import Record, RunTrace, TensorSummary
from lastbit.storage.files import read_checksummed, sha256, write_checksummed

MARGIN = 8.0  # by which rounding may exceed what the noise does
SATURATED = 0.1  # relative distance of noisy runs from which on they tell nothing any more
FORMAT = 3  # of the file


@dataclass(frozen=True)
class RoundingEnvelope:
    """The largest relative distance that rounding explains of each output of a trace's records."""

    # By the record's index and the place of the output in it; infinite where nothing can be told.
    limits: Mapping[tuple[int, int], float]
    saturated_at: int | None  # first step from which on rounding explains any distance of the weights; None if none

    def __call__(self, record: Record, place: int) -> float | None:
        """The limit of an output, infinite where no run with noise has it; None where the trace has no such output.

        Args:
            record: of the trace.
            place: which of the record's outputs.
        """
        return self.limits.get((record.index, place))


def write_envelopes(path: Path, envelopes: Mapping[Path, RoundingEnvelope]) -> None:
    """Keep the envelopes of a run in one file.

    Args:
        path: of the file.
        envelopes: by the trace's file, one for each rank, in order.

    Raises:
        OSError: the file cannot be written.
    """
    ranks = [
        {"trace": _identity(trace), "limits": _rows(envelope), "saturated_at": envelope.saturated_at}
        for trace, envelope in envelopes.items()
    ]
    write_checksummed(path, {"format": FORMAT, "ranks": ranks})


def _rows(envelope: RoundingEnvelope) -> list[list[float | None]]:
    """The limits of each record, of its outputs; None for infinity, which JSON has not."""
    rows: list[list[float | None]] = []
    for index, place in sorted(envelope.limits):
        rows += [[] for _ in range(index + 1 - len(rows))]
        rows[index] += [None] * (place - len(rows[index]))
        limit = envelope.limits[index, place]
        rows[index].append(limit if isfinite(limit) else None)
    return rows


def read_envelopes(path: Path, traces: Sequence[Path]) -> list[RoundingEnvelope]:
    """Read what `write_envelopes` kept.

    Args:
        path: of the file.
        traces: the files that it must be of, one for each rank, in order.

    Raises:
        LastbitError: the file is missing, damaged or of another format, or is of other traces.
    """
    content = read_checksummed(path)
    if content.get("format") != FORMAT:
        raise LastbitError(f"{path} has format {content.get('format')!r}, and this version of lastbit reads {FORMAT}")
    ranks = content["ranks"]
    if len(ranks) != len(traces):
        raise LastbitError(
            f"{path} is what rounding explains of {len(ranks)} processes, and {traces[0]} is of {len(traces)}: record"
            " both again"
        )
    for trace, rank in zip(traces, ranks, strict=True):
        if rank["trace"] != _identity(trace):
            raise LastbitError(f"{path} is what rounding explains of another trace than {trace}: record both again")
    return [_envelope(rank) for rank in ranks]


def _envelope(rank: Mapping[str, Any]) -> RoundingEnvelope:
    limits = {
        (index, place): inf if limit is None else float(limit)
        for index, outputs in enumerate(rank["limits"])
        for place, limit in enumerate(outputs)
    }
    return RoundingEnvelope(limits, rank["saturated_at"])


def _identity(trace: Path) -> str:
    return sha256(trace.read_bytes())


def learn_envelope(plain: RunTrace, noisy: Sequence[RunTrace], *, margin: float = MARGIN) -> RoundingEnvelope:
    """Learn what rounding explains from runs of the same program with noise in the last bit of every operation.

    The distance of an output of a noisy run from that of the plain one is a sample of what errors of some units in the
    last place of each result grow to. Two samples give its size, no bound. What counts is the largest of all samples,
    of the same output of the same operation in this step, in all before and in the next (chaos grows what is a little
    larger a little earlier), times a margin. Each output has a limit of its own: the gradient of a bias before a batch
    normalisation is 0 but for rounding, whose relative distance says nothing, and that of the weights beside it says
    much. Which of two nearly equal numbers is the larger is for rounding to decide, so that indices and truth values of
    floating-point numbers are not judged, only what becomes of them.

    Args:
        plain: the run without noise, whose records the envelope is for.
        noisy: runs with noise, of as many steps.
        margin: of the envelope over the largest sample.

    Raises:
        LastbitError: a noisy run has hardly any operation in common with the plain one.
    """
    graph = TraceGraph(plain)
    samples = np.full(len(graph.summaries), np.nan)
    for run in noisy:
        samples = np.fmax(samples, _sampled(plain, run))
    seen, grown = ~np.isnan(samples), _grown(graph, samples)
    limits = {}
    for value, sample in enumerate(grown.tolist()):
        index, place = graph.output_of(value)
        record = graph.records[index]
        taken = [graph.summaries[source] for source in graph.inputs(graph.item_of(value)) if source != UNKNOWN]
        given = graph.summaries[value]
        told = seen[value] and sample < SATURATED and not _is_chosen(taken, given)
        limit = max(margin * sample, limit_of_one(record.site.name, taken, given))
        # No two tensors are much farther apart than their size.
        limits[index, place] = limit if told and limit < 1 else inf
    return RoundingEnvelope(limits, _saturated_at(graph, grown))


def _sampled(plain: RunTrace, noisy: RunTrace) -> Array:
    """The relative distance of each value of the plain run, shape (n,); NaN where the noisy run has none such."""
    traces = AlignedTraces(plain, noisy, None)
    sampled = np.full(len(traces.one.summaries), np.nan)
    sampled[traces.values] = traces.apart
    return sampled


def _grown(graph: TraceGraph, samples: Array) -> Array:
    """The largest sample of the same output of the same operation up to the step after each value's, shape (n,)."""
    places: dict[Hashable, list[int]] = {}
    count: Counter[Hashable] = Counter()
    for record in graph.records:
        here = record.site, record.step
        count[here] += 1
        for place in range(len(record.outputs)):
            places.setdefault((record.site, count[here], place), []).append(graph.value(record.index, place))
    grown = np.zeros(len(samples))
    for same in places.values():
        values = np.nan_to_num(samples[same], nan=0.0, posinf=inf)
        ahead = np.append(values[1:], 0.0)
        grown[same] = np.maximum.accumulate(np.maximum(values, ahead))
    return grown


def _is_chosen(taken: Sequence[TensorSummary], given: TensorSummary) -> bool:
    """Whether whole numbers or truth values are made out of floating-point numbers."""
    return given.dtype not in EPSILON and any(summary.dtype in EPSILON for summary in taken)


def _saturated_at(graph: TraceGraph, grown: Array) -> int | None:
    """The first step from which on most parameters are as far apart as they will ever be."""
    last: dict[tuple[int, Hashable], float] = {}  # what an update of a parameter gives last is the parameter
    for record in graph.records:
        if record.site.phase != OPTIMIZER or not record.outputs:
            continue
        samples = [float(grown[graph.value(record.index, place)]) for place in range(len(record.outputs))]
        if is_list(record):
            # A list has no name, but its shapes; counts of steps are scalars.
            shapes = tuple(summary.shape for summary in record.outputs)
            named = {(shapes, place): sample for place, sample in enumerate(samples) if shapes[place]}
            last |= {(record.step, name): sample for name, sample in named.items()}
        elif record.site.module is not None:
            last[record.step, record.site.module] = max(samples)
    steps: dict[int, list[float]] = {}
    for (step, _), sample in last.items():
        steps.setdefault(step, []).append(sample)
    return min((step for step, values in steps.items() if np.median(values) >= SATURATED), default=None)
