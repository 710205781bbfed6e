"""Compares the traces of two runs, of one process or of many: which rank with which, and by what."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.trace.differences import compare_rank
from lastbit.script.trace.exchanged import with_same_samples, with_senders
from lastbit.script.trace.finding import TraceComparison
from lastbit.script.trace.places import Envelope
from lastbit.script.trace.records import RunTrace


def compare_traces(
    one: RunTrace | Sequence[RunTrace],
    other: RunTrace | Sequence[RunTrace],
    envelope: Envelope | Sequence[Envelope] | None = None,
) -> TraceComparison:
    """Compare the traces of two runs of one program.

    Operations are aligned by what they are and by what they give, so neither number nor order need agree. A difference
    counts as another computation where it is larger than rounding explains and reaches the weights, or a result that
    nothing else takes; it is followed back to the operation where it begins. So a gradient that one run has in parts,
    of accumulated batches or of several processes, is none as long as their sum agrees.

    A run of one process is compared with every rank of a run of more, which divide its batches: by what their
    collectives gave, and by their weights.

    Args:
        one: the reference: a trace, or one for each process. Places are named as they are in it.
        other: the other run's.
        envelope: for a record of the reference and the place of one of its outputs, the largest relative distance that
            rounding explains, or None; one for all processes, or one for each. Without an envelope only what no
            rounding does is said to be another computation.

    Raises:
        LastbitError: the traces are of different programs, one holds no operation, or one of a run's processes is
            missing.
    """
    runs = [[run] if isinstance(run, RunTrace) else sorted(run, key=_rank) for run in (one, other)]
    for run in runs:
        _check_ranks(run)
    sizes = [len(run) for run in runs]
    compared = [
        compare_rank(
            _in_place_of(runs[0][mine], runs[1][theirs]),
            runs[1][theirs],
            envelope[mine] if isinstance(envelope, Sequence) else envelope,
            divided=sizes[0] != sizes[1],
        )
        for mine, theirs in paired_ranks(*sizes)
    ]
    ranks = with_senders(with_same_samples(compared, runs))
    notes = [*ranks[0].notes]
    notes += [f"rank {rank.rank}: {note}" for rank in ranks[1:] for note in rank.notes if note not in ranks[0].notes]
    comparison = TraceComparison(
        ranks, (_environment(runs[0][0]), _environment(runs[1][0])), tuple(dict.fromkeys(notes))
    )
    if sizes[0] == sizes[1]:
        return comparison
    return replace(comparison, notes=(*comparison.notes, _divided(sizes, comparison)))


def paired_ranks(one: int, other: int) -> list[tuple[int, int]]:
    """Which rank of a run is compared with which of another.

    Args:
        one: how many processes the first has.
        other: how many the second has.

    Returns:
        Each rank with itself, as far as both go; a single process with every rank of the other run.
    """
    if 1 in (one, other):
        return [(rank if one > 1 else 0, rank if other > 1 else 0) for rank in range(max(one, other))]
    return [(rank, rank) for rank in range(min(one, other))]


def _in_place_of(single: RunTrace, trace: RunTrace) -> RunTrace:
    """A trace under the number of a rank, where a single process is compared with many."""
    if single.header.world_size > 1:
        return single
    return replace(single, header=replace(single.header, rank=trace.header.rank))


def _divided(sizes: Sequence[int], comparison: TraceComparison) -> str:
    """What is compared of runs that divide their batches otherwise."""
    compared, count = comparison.weights or (0, 0)
    everywhere = all(len(rank.weights[0]) == compared for rank in comparison.ranks if rank.weights is not None)
    ranks = "each rank" if 1 in sizes else f"the first {min(sizes)} ranks"
    where = f"on {ranks}" if everywhere or 1 not in sizes else "each on a rank that updates it"
    rest = "" if compared == count else "; the others are updated in parts, and were not"
    counted = f"{compared:,} of {count:,} weights" if count else "the weights"
    return (
        f"{sizes[0]} process{'es' if sizes[0] > 1 else ''} against {sizes[1]}, with batches divided among them:"
        f" compared are what collectives gave and {counted}, {where}{rest}"
    )


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
