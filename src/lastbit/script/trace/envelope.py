"""How far apart rounding alone brings two runs, place by place: learnt from runs with noise in every operation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from lastbit.errors import LastbitError
from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.graph import OPTIMIZER, Array
from lastbit.script.trace.records import Record, RunTrace, TensorSummary
from lastbit.storage.files import read_checksummed, sha256, write_checksummed

MARGIN = 8.0  # by which rounding may exceed what the noise does
SATURATED = 0.1  # relative distance of noisy runs from which on they tell nothing any more
FORMAT = 1  # of the file
_DIRECT = 4.0  # errors of sqrt(K) units that an operation may make on inputs of equal bits
_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}


@dataclass(frozen=True)
class RoundingEnvelope:
    """The largest relative distance that rounding explains at each record of a trace."""

    limits: Mapping[int, float]  # by the record's index; infinite where nothing can be told
    saturated_at: int | None  # first step from which on rounding explains any distance of the weights; None if none

    def __call__(self, record: Record) -> float | None:
        """The limit at a record; None where no run with noise has it."""
        return self.limits.get(record.index)

    def write(self, path: Path, trace: Path) -> None:
        """Keep it in a file, as that of a trace in a file.

        Raises:
            OSError: the file cannot be written.
        """
        limits = [self.limits.get(index, inf) for index in range(max(self.limits, default=-1) + 1)]
        content: dict[str, Any] = {
            "format": FORMAT,
            "trace": _identity(trace),
            "limits": [limit if isfinite(limit) else None for limit in limits],
            "saturated_at": self.saturated_at,
        }
        write_checksummed(path, content)


def read_envelope(path: Path, trace: Path) -> RoundingEnvelope:
    """Read the envelope of a trace.

    Args:
        path: of the envelope.
        trace: the file that it must be of.

    Raises:
        LastbitError: the file is missing, damaged or of another format, or the envelope is another trace's.
    """
    content = read_checksummed(path)
    if content.get("format") != FORMAT:
        raise LastbitError(f"{path} has format {content.get('format')!r}, and this version of lastbit reads {FORMAT}")
    if content["trace"] != _identity(trace):
        raise LastbitError(f"{path} is what rounding explains of another trace than {trace}: record both again")
    limits = {index: inf if limit is None else float(limit) for index, limit in enumerate(content["limits"])}
    return RoundingEnvelope(limits, content["saturated_at"])


def _identity(trace: Path) -> str:
    return sha256(trace.read_bytes())


def learn_envelope(plain: RunTrace, noisy: Sequence[RunTrace], *, margin: float = MARGIN) -> RoundingEnvelope:
    """Learn what rounding explains from runs of the same program with noise in the last bit of every operation.

    At each record the distance of a noisy run from the plain one is a sample of what errors of one unit in the last
    place of each result grow to. Two samples give its size, no bound. What counts is the largest of all samples, of the
    same operation in this step, in all before and in the next (chaos grows what is a little larger a little earlier),
    times a margin. Which of two nearly equal numbers is the larger is for rounding to decide, so that an operation that
    gives indices or truth values of floating-point numbers is not judged, only what becomes of its results.

    Args:
        plain: the run without noise, whose records the envelope is for.
        noisy: runs with noise, of as many steps.
        margin: of the envelope over the largest sample.

    Raises:
        LastbitError: a noisy run has hardly any operation in common with the plain one.
    """
    samples = np.zeros(len(plain.records))
    for run in noisy:
        samples = np.maximum(samples, _sampled(plain, run))
    grown = _grown(plain.records, samples)
    limits = {}
    for record, sample in zip(plain.records, grown, strict=True):
        told = sample < SATURATED and not _chooses(plain, record)
        limits[record.index] = max(margin * float(sample), _direct(plain, record)) if told else inf
    return RoundingEnvelope(limits, _saturated_at(plain.records, grown))


def _sampled(plain: RunTrace, noisy: RunTrace) -> Array:
    """The relative distance of each record's results, the largest; NaN where the noisy run has no such record."""
    traces = AlignedTraces(plain, noisy, None)
    sampled = np.full(len(plain.records), np.nan)
    known = ~np.isnan(traces.apart)
    np.fmax.at(sampled, traces.one.maker[traces.values[known]], traces.apart[known])
    return sampled


def _grown(records: Sequence[Record], samples: Array) -> Array:
    """The largest sample of the same operation up to the step after each record's."""
    places: dict[Hashable, list[int]] = {}
    count: dict[Hashable, int] = {}
    for record in records:
        here = record.site, record.step
        count[here] = count.get(here, 0) + 1
        places.setdefault((record.site, count[here]), []).append(record.index)
    grown = np.zeros(len(records))
    for same in places.values():
        values = np.nan_to_num(samples[same], nan=0.0, posinf=inf)
        ahead = np.append(values[1:], 0.0)
        grown[same] = np.maximum.accumulate(np.maximum(values, ahead))
    return grown


def _chooses(plain: RunTrace, record: Record) -> bool:
    """Whether a record makes whole numbers or truth values out of floating-point numbers."""
    taken = (plain.records[origin[0]].outputs[origin[1]] for origin in record.inputs if origin is not None)
    return any(s.dtype not in _EPSILON for s in record.outputs) and any(s.dtype in _EPSILON for s in taken)


def _direct(plain: RunTrace, record: Record) -> float:
    """What an operation may be off by on inputs of equal bits: sqrt(K) units of what it adds up, K terms a result.

    The error of a sum of K products is a few units of the terms' size times sqrt(K), however small the sum itself is:
    where terms cancel it is large beside the result (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
    section 3.1; the square root for errors of random signs).
    """
    taken = [plain.records[origin[0]].outputs[origin[1]] for origin in record.inputs if origin is not None]
    given = [summary for summary in record.outputs if summary.norm > 0]
    if not taken or not given:
        return 0.0
    size = max(prod(summary.shape) for summary in taken)
    return max(_relative_error(taken, summary, size) for summary in given)


def _relative_error(taken: Sequence[TensorSummary], given: TensorSummary, size: int) -> float:
    count = max(1, prod(given.shape))
    terms = max(1.0, size / count)
    norms = [summary.norm for summary in taken if summary.norm == summary.norm]
    # What is added up is of the size of the inputs, spread over the elements that there are.
    cancelled = max([1.0, *(norm / given.norm for norm in norms)])
    return _DIRECT * _EPSILON.get(given.dtype, 0.0) * sqrt(terms) * cancelled


def _saturated_at(records: Sequence[Record], grown: Array) -> int | None:
    """The first step from which on most parameters are as far apart as they will ever be."""
    last: dict[tuple[int, str | None], float] = {}  # what an update of a parameter gives last is the parameter
    for record, sample in zip(records, grown, strict=True):
        if record.site.phase == OPTIMIZER and record.site.module is not None:
            last[record.step, record.site.module] = float(sample)
    steps: dict[int, list[float]] = {}
    for (step, _), sample in last.items():
        steps.setdefault(step, []).append(sample)
    return min((step for step, values in steps.items() if np.median(values) >= SATURATED), default=None)
