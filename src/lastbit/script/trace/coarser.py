"""In what two runs multiply float32, and whether they flush the smallest numbers: the coarser of the two counts.

Noise in last places shows what rounding does in one run. Where the other multiplies in TF32, or on another machine
chooses to, each product is off by 2^-11 in place of 2^-24, and so is all that is computed of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import inf, isfinite
from typing import Any

import numpy as np

from lastbit.script.trace.graph import OPTIMIZER, TraceGraph
from lastbit.script.trace.one_operation import EPSILON, product_kind
from lastbit.script.trace.places import MARGIN, Envelope, RoundingEnvelope
from lastbit.script.trace.records import Record, RunTrace, TensorSummary
from lastbit.script.trace.saturation import saturated_at

_UNITS = {"tf32": 2.0**-11, "bf16": 2.0**-8}  # relative error of a factor that is rounded before it is multiplied
_NOISE = 16 * EPSILON["float32"]  # the most by which noise moves a result
# By device and kind of product, the names in a fingerprint.
_SETTINGS = {
    ("cpu", "matmul"): "onednn_matmul_precision",
    ("cpu", "conv"): "onednn_conv_precision",
    ("cuda", "matmul"): "cuda_matmul_precision",
    ("cuda", "conv"): "cudnn_conv_precision",
    ("cuda", "rnn"): "cudnn_rnn_precision",
}
# What decides whether a kernel does as it is allowed to; where all of it agrees the noisy runs have shown what it does.
_CHOICE = ("device", "processor", "torch", "cuda", "cudnn", "onednn", "cudnn_benchmark", *_SETTINGS.values())
_SINGLE = ("float32", "complex64")
# The smallest normal numbers, below which a processor may give 0; of float16 it computes in float32.
_NORMAL = {"float32": 2.0**-126, "bfloat16": 2.0**-126, "complex64": 2.0**-126}
_NORMAL |= {"float64": 2.0**-1022, "complex128": 2.0**-1022}


class CoarserNumerics:
    """The coarser of the numerics of two runs.

    Args:
        one: the reference.
        other: the other run.
    """

    def __init__(self, one: RunTrace, other: RunTrace) -> None:
        self._one, self._other = one, other
        self._numerics: tuple[Mapping[str, Any], Mapping[str, Any]] = (one.numerics, other.numerics)
        self._differ = any(self._numerics[0].get(name) != self._numerics[1].get(name) for name in _CHOICE)

    @property
    def flushes(self) -> bool:
        """Whether either run gives 0 for numbers below the smallest normal one."""
        return any(numerics.get("flush_denormal") is True for numerics in self._numerics)

    def smallest(self, record: Record, given: TensorSummary) -> float:
        """By how much an element may be off because it is flushed; 0 where nothing is.

        What an update makes of the square of a gradient is its root: there it is the root of that.

        Args:
            record: of the operation.
            given: one of its results.
        """
        least = _NORMAL.get(given.dtype, 0.0) if self.flushes else 0.0
        return float(np.sqrt(least)) if record.site.phase == OPTIMIZER else least

    def unit(self, name: str, given: TensorSummary) -> float:
        """The relative error of a factor of a product of float32 numbers; 0 where neither run rounds factors.

        Args:
            name: of the operation.
            given: its result.
        """
        kind = product_kind(name)
        if kind is None or given.dtype not in _SINGLE or not self._differ:
            return 0.0
        return max(self._largest(numerics, kind) for numerics in self._numerics)

    def _largest(self, numerics: Mapping[str, Any], kind: str) -> float:
        """Of a run on the device that it uses, or on that of the other."""
        names = [name for (device, each), name in _SETTINGS.items() if each == kind and device in self._devices]
        return max((_UNITS.get(str(numerics.get(name)), 0.0) for name in names), default=0.0)

    @cached_property
    def _devices(self) -> set[str]:
        runs = (self._one, self._other)
        return {summary.device for run in runs for record in run.records for summary in record.outputs}

    def envelope(self, envelope: Envelope | None, graph: TraceGraph) -> Envelope | None:
        """What rounding explains where factors are rounded: as much more as their error is larger than the noise.

        Args:
            envelope: as noise in the reference's last places showed it.
            graph: of the reference.
        """
        records = graph.records if self._differ and isinstance(envelope, RoundingEnvelope) else []
        factor = max((self.unit(r.site.name, o) for r in records for o in r.outputs), default=0.0) / _NOISE
        if not isinstance(envelope, RoundingEnvelope) or factor <= 1:
            return envelope
        limits, growths = dict(envelope.limits), dict(envelope.growths)
        apart = np.zeros(len(graph.summaries))
        for value, summary in enumerate(graph.summaries):
            place = graph.output_of(value)
            limit = limits.get(place, inf)
            if 0 < EPSILON.get(summary.dtype, 0.0) <= EPSILON["float32"]:
                limit *= factor
                growths[place] = growths.get(place, inf) * factor
            limits[place] = limit if limit < 1 else inf
            apart[value] = limit / MARGIN if isfinite(limit) else 0.0
        known = [step for step in (envelope.saturated_at, saturated_at(graph, apart, limits)) if step is not None]
        return replace(envelope, limits=limits, growths=growths, saturated_at=min(known, default=None))


def products_against(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """In words, in what two runs multiply float32 otherwise, and whether one flushes small numbers.

    Args:
        one: the first run's fingerprint.
        other: the second's.
    """
    pairs = dict.fromkeys((one.get(name) or "ieee", other.get(name) or "ieee") for name in _SETTINGS.values())
    words = [f"float32 products {mine} against {others}" for mine, others in pairs if mine != others]
    flush = [bool(numerics.get("flush_denormal")) for numerics in (one, other)]
    if flush[0] != flush[1]:
        words.append(f"numbers below the smallest normal one {' against '.join('0' if f else 'kept' for f in flush)}")
    return words
