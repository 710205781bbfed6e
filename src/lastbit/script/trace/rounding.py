"""Measures what rounding alone does to a program: records it twice more, with noise in every operation's result."""

import tempfile
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path

from lastbit.script.target import Target
from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.envelope import RoundingEnvelope, learn_envelope, read_envelope
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recording import check_free_path, record_trace
from lastbit.script.trace.records import RunTrace

NOISY_RUNS = 2
Progress = Callable[[str, int, int], None]  # is told which run it is, its operations and its optimizer steps


def envelope_path(trace: Path) -> Path:
    """Where what rounding explains of a trace is kept: beside it, `A.trace.rounding`."""
    return trace.with_name(f"{trace.name}.rounding")


def kept_envelope(trace: Path) -> RoundingEnvelope | None:
    """The envelope that is kept beside a trace; None where there is none.

    Raises:
        LastbitError: as `read_envelope` does.
    """
    path = envelope_path(trace)
    return read_envelope(path, trace) if path.exists() else None


def measure_rounding(
    target: Target,
    trace: Path,
    *,
    steps: int | None = None,
    threads: int | None = None,
    on_progress: Progress = lambda run, operations, steps: None,
) -> RoundingEnvelope:
    """Run a program twice with noise in the last bits of every operation, and learn what rounding explains.

    Args:
        target: the program.
        trace: of its plain run, which is there already, with as many steps and threads.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch; None for the program's own choice.
        on_progress: called now and then.

    Raises:
        ScriptFailedError: a run with noise ended with an error.
        LastbitError: the runs have hardly an operation in common.
    """
    noisy = []
    with tempfile.TemporaryDirectory(prefix="lastbit-rounding-") as folder:
        for number in range(1, NOISY_RUNS + 1):
            path, told = Path(folder, f"{number}.trace"), partial(on_progress, f"noise {number} of {NOISY_RUNS}")
            record_trace(target, path, steps=steps, threads=threads, noise=number, on_progress=told)
            noisy.append(read_trace(path))
        return learn_envelope(read_trace(trace), noisy)


def carried_over(envelope: RoundingEnvelope, measured: RunTrace, to: RunTrace) -> RoundingEnvelope:
    """An envelope for the records of another trace: each output has the limit of the one that is the same.

    Args:
        envelope: of a run here.
        measured: the trace of that run.
        to: the trace of the other run, say of another machine.

    Raises:
        LastbitError: the traces are of different programs.
    """
    traces = AlignedTraces(to, measured, None)
    limits = {
        traces.one.output_of(value): envelope.limits.get(traces.other.output_of(partner), inf)
        for value, partner in traces.alignment.values.items()
    }
    return RoundingEnvelope(limits, envelope.saturated_at)


def check_free_envelope(trace: Path) -> None:
    """Check that an envelope can be kept beside a trace; nothing is touched.

    Raises:
        LastbitError: as `check_free_path` does.
    """
    check_free_path(envelope_path(trace))
