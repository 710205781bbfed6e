"""Measures what rounding alone does to a program: records it twice more, with noise in every operation's result.

Of a program that runs in several processes each rank has an envelope of its own. All ranks draw the same noise, so that
replicas of weights stay replicas as long as the ranks do the same operations.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.script.target import Target
from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.comparison import paired_ranks
from lastbit.script.trace.envelope import learn_envelope, read_envelopes, write_envelopes
from lastbit.script.trace.places import RoundingEnvelope
from lastbit.script.trace.ranks import rank_path, read_run
from lastbit.script.trace.recording import check_free_path, record_trace
from lastbit.script.trace.records import RunTrace

NOISY_RUNS = 2
Progress = Callable[[str, int, int], None]  # is told which run it is, its operations and its optimizer steps


def envelope_path(trace: Path) -> Path:
    """Where what rounding explains of a trace is kept: beside it, `A.trace.rounding`."""
    return trace.with_name(f"{trace.name}.rounding")


def kept_envelopes(trace: Path, ranks: int) -> list[RoundingEnvelope] | None:
    """The envelopes that are kept beside a trace, one for each rank; None where there are none.

    Args:
        trace: the file of rank 0.
        ranks: of the run.

    Raises:
        LastbitError: as `read_envelopes` does.
    """
    path = envelope_path(trace)
    return read_envelopes(path, [rank_path(trace, rank) for rank in range(ranks)]) if path.exists() else None


def keep_envelopes(trace: Path, envelopes: Sequence[RoundingEnvelope]) -> None:
    """Keep envelopes beside a trace.

    Args:
        trace: the file of rank 0.
        envelopes: one for each rank, in order.

    Raises:
        OSError: the file cannot be written.
    """
    by_trace = {rank_path(trace, rank): envelope for rank, envelope in enumerate(envelopes)}
    write_envelopes(envelope_path(trace), by_trace)


def measure_rounding(
    target: Target,
    trace: Path,
    *,
    steps: int | None = None,
    threads: int | None = None,
    on_progress: Progress = lambda run, operations, steps: None,
) -> list[RoundingEnvelope]:
    """Run a program twice with noise in the last bits of every operation, and learn what rounding explains.

    Args:
        target: the program.
        trace: of its plain run (of rank 0), which is there already, with as many steps and threads.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch; None for the program's own choice.
        on_progress: called now and then.

    Returns:
        One for each rank, in order.

    Raises:
        ScriptFailedError: a run with noise ended with an error.
        LastbitError: the runs have hardly an operation in common, or not as many ranks.
    """
    plain, noisy = read_run(trace), []
    with tempfile.TemporaryDirectory(prefix="lastbit-rounding-") as folder:
        for number in range(1, NOISY_RUNS + 1):
            path, told = Path(folder, f"{number}.trace"), partial(on_progress, f"noise {number} of {NOISY_RUNS}")
            record_trace(target, path, steps=steps, threads=threads, noise=number, temporary=True, on_progress=told)
            noisy.append(read_run(path))
            if len(noisy[-1]) != len(plain):
                raise LastbitError(f"{target.name} ran in {len(plain)} processes, and with noise in {len(noisy[-1])}")
        return [learn_envelope(rank, others) for rank, *others in zip(plain, *noisy, strict=True)]


def carried_over(
    envelopes: Sequence[RoundingEnvelope], measured: Sequence[RunTrace], to: Sequence[RunTrace]
) -> list[RoundingEnvelope]:
    """Envelopes for the records of another run: each output has the limit of the one that is the same.

    Where one process stands for several ranks, it is the largest limit of theirs.

    Args:
        envelopes: of a run here, one for each rank.
        measured: the traces of that run.
        to: the traces of the other run, say of another machine.

    Returns:
        One for each rank of the other run that `compare_traces` compares.

    Raises:
        LastbitError: the traces are of different programs.
    """
    carried: dict[int, dict[tuple[int, int], float]] = {}
    growths: dict[int, dict[tuple[int, int], float]] = {}
    saturated: dict[int, list[int]] = {}
    for mine, theirs in paired_ranks(len(to), len(measured)):
        envelope = envelopes[theirs]
        both = (carried.setdefault(mine, {}), envelope.limits), (growths.setdefault(mine, {}), envelope.growths)
        traces = AlignedTraces(to[mine], measured[theirs], None)
        for value, partner in traces.alignment.values.items():
            for limits, known in both:
                place, limit = traces.one.output_of(value), known.get(traces.other.output_of(partner), inf)
                limits[place] = max(limit, limits.get(place, 0.0))
        saturated.setdefault(mine, []).extend([] if envelope.saturated_at is None else [envelope.saturated_at])
    return [
        RoundingEnvelope(limits, min(saturated[rank], default=None), growths[rank]) for rank, limits in carried.items()
    ]


def check_free_envelope(trace: Path) -> None:
    """Check that an envelope can be kept beside a trace; nothing is touched.

    Raises:
        LastbitError: as `check_free_path` does.
    """
    check_free_path(envelope_path(trace))
