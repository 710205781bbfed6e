"""How far apart rounding alone brings two runs, place by place: learnt from runs with noise in every operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from pathlib import Path

import numpy as np

from lastbit.errors import LastbitError
from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.chosen import Choices
from lastbit.script.trace.distance import Array
from lastbit.script.trace.graph import UNKNOWN, TraceGraph
from lastbit.script.trace.one_operation import limit_of_record
from lastbit.script.trace.places import MARGIN, RoundingEnvelope
from lastbit.script.trace.records import RunTrace
from lastbit.script.trace.saturation import SATURATED, saturated_at
from lastbit.storage.files import read_checksummed, sha256, write_checksummed

FORMAT = 4  # of the file; 3 had no limits of norms
_SYSTEMATIC = 2.0  # by which norms may differ more than noise parts values: a kernel's errors may all go one way


def write_envelopes(path: Path, envelopes: Mapping[Path, RoundingEnvelope]) -> None:
    """Keep the envelopes of a run in one file.

    Args:
        path: of the file.
        envelopes: by the trace's file, one for each rank, in order.

    Raises:
        OSError: the file cannot be written.
    """
    ranks = [
        {
            "trace": _identity(trace),
            "limits": _rows(envelope.limits),
            "growths": _rows(envelope.growths),
            "saturated_at": envelope.saturated_at,
        }
        for trace, envelope in envelopes.items()
    ]
    write_checksummed(path, {"format": FORMAT, "ranks": ranks})


def _rows(limits: Mapping[tuple[int, int], float]) -> list[list[float | None]]:
    """The limits of each record, of its outputs; None for infinity, which JSON has not."""
    rows: list[list[float | None]] = []
    for index, place in sorted(limits):
        rows += [[] for _ in range(index + 1 - len(rows))]
        rows[index] += [None] * (place - len(rows[index]))
        limit = limits[index, place]
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
    return [
        RoundingEnvelope(_of_rows(rank["limits"]), rank["saturated_at"], _of_rows(rank["growths"])) for rank in ranks
    ]


def _of_rows(rows: Sequence[Sequence[float | None]]) -> dict[tuple[int, int], float]:
    return {
        (index, place): inf if limit is None else float(limit)
        for index, outputs in enumerate(rows)
        for place, limit in enumerate(outputs)
    }


def _identity(trace: Path) -> str:
    return sha256(trace.read_bytes())


def learn_envelope(plain: RunTrace, noisy: Sequence[RunTrace], *, margin: float = MARGIN) -> RoundingEnvelope:
    """Learn what rounding explains from runs of the same program with noise in the last bit of every operation.

    The distance of an output of a noisy run from that of the plain one is a sample of what errors of some units in the
    last place of each result grow to. Two samples give its size, no bound. What counts is the largest of all samples,
    of the same output of the same operation in this step, in all before and in the next (chaos grows what is a little
    larger a little earlier), times a margin. Each output has a limit of its own: the gradient of a bias before a batch
    normalisation is 0 but for rounding, whose relative distance says nothing, and that of the weights beside it says
    much. Norms have limits of their own, which are smaller: the errors of many elements hardly change them, even where
    half precision brings gradients far apart. What rounding chooses is not judged (`Choices`): indices, truth values
    and counts that come from real numbers, and real numbers made of those alone where no noise has changed them.

    Args:
        plain: the run without noise, whose records the envelope is for.
        noisy: runs with noise, of as many steps.
        margin: of the envelope over the largest sample.

    Raises:
        LastbitError: a noisy run has hardly any operation in common with the plain one.
    """
    graph = TraceGraph(plain)
    samples = np.full((2, len(graph.summaries)), np.nan)
    for run in noisy:
        samples = np.fmax(samples, _sampled(plain, run))
    seen, choices = ~np.isnan(samples[0]), Choices(graph)
    apart, growths = (_grown(graph.repeated, each) for each in samples)
    limits, largest = {}, {}
    for value, sample in enumerate(apart.tolist()):
        index, place = graph.output_of(value)
        record = graph.records[index]
        taken = [graph.summaries[source] for source in graph.inputs(graph.item_of(value)) if source != UNKNOWN]
        given = graph.summaries[value]
        told = seen[value] and sample < SATURATED and not choices.whole[value]
        # Of a share of right answers the noise tells how far flips bring it, where there were any.
        told = told and not (choices.real[value] and sample == 0)
        single = limit_of_record(record, taken, given)
        limit = max(margin * sample, single)
        # No two tensors are much farther apart than their size.
        limits[index, place] = limit if told and limit < 1 else inf
        growth = max(margin * float(growths[value]), _SYSTEMATIC * sample, single)
        largest[index, place] = growth if told and limit < 1 else inf
    return RoundingEnvelope(limits, saturated_at(graph, apart, limits), largest)


def _sampled(plain: RunTrace, noisy: RunTrace) -> Array:
    """Of each value of the plain run its relative distance, and the logarithm of the ratio of the norms, shape (2, n).

    NaN where the noisy run has no such value, or one of the norms is 0; distance 0 where neither run's value is finite.
    """
    traces = AlignedTraces(plain, noisy, None)
    sampled = np.full((2, len(traces.one.summaries)), np.nan)
    sampled[:, traces.values] = traces.apart, traces.growths
    # What is finite in neither run is the same, as far as can be told: noise does not make it finite.
    known = traces.one.plain[traces.values] & traces.other.plain[traces.partners]
    sampled[0, traces.values[known & np.isnan(traces.apart)]] = 0
    return sampled


def _grown(repeated: Sequence[Sequence[int]], samples: Array) -> Array:
    """The largest sample of the same output of the same operation up to the step after each value's, shape (n,).

    Args:
        repeated: the values that are the same output.
        samples: of each value, shape (n,).
    """
    grown = np.zeros(len(samples))
    for same in repeated:
        values = np.nan_to_num(samples[same], nan=0.0, posinf=inf)
        ahead = np.append(values[1:], 0.0)
        grown[same] = np.maximum.accumulate(np.maximum(values, ahead))
    return grown
