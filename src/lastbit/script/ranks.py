"""Of the processes of a trial, the one whose weights and metrics are the trial's, and what the others show."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lastbit.errors import shortened
from lastbit.script.joining import PROCESSES, Member, members
from lastbit.script.notes import Notes, read_notes
from lastbit.script.shards import PARTS, whole
from lastbit.study.recorder import METRICS, PREDICTIONS, WEIGHTS, Recorder
from lastbit.study.stored_trial import OUTPUT

_NAMED = 3  # ranks or weights in a sentence


class UnclearError(Exception):
    """The processes of a trial do not say which weights are the trial's, or did not all meet the noise."""


@dataclass(frozen=True)
class _Trainer:
    """A process of a trial that took a step."""

    notes: Notes
    directory: Path


def gather(recorder: Recorder, first: Notes | None) -> Notes | None:
    """Make what rank 0 recorded that of the trial, and join the notes of all processes.

    Rank 0 is the trial's first process if that trained, else the one that torch's process group or the launcher calls
    so, else the only one that trained. Its weights and metrics move into the trial's directory; of weights that are
    split over ranks, the parts are put together. The directories of the processes are removed.

    Args:
        recorder: of the trial.
        first: the notes of its first process; None where that left none.

    Returns:
        The notes of rank 0, with what concerns all processes joined.

    Raises:
        UnclearError: no single process is rank 0, the ranks are on several machines, or a rank did not report.
        LastbitError: a part of the weights is missing.
    """
    directory = recorder.directory
    others = [(place, member, read_notes(place)) for place, member in members(directory)]
    noted = [notes for _, _, notes in others if notes is not None]
    if first is None or not others:
        _clear(directory)
        return first
    if refused := next((notes for notes in noted if notes.refused is not None), None):
        return replace(first, refused=refused.refused)
    trainers = [_Trainer(notes, place) for place, _, notes in others if notes is not None and notes.steps]
    try:
        chosen = _Trainer(first, directory) if first.steps else _rank_0(trainers)
        if chosen is not None:
            group = [chosen, *(other for other in trainers if other.directory != chosen.directory)]
            _check_ranks(chosen.notes, [member for _, member, _ in others])
            _take_over(recorder, chosen, group)
            first = _joined(first, chosen.notes, noted)
            first.processes = len(group)
            first.doubts += _out_of_step(group)
            first.remarks += _left_out(group)
        else:
            first = _joined(first, first, noted)
        first.write(directory / OUTPUT)
    finally:
        _clear(directory)
    return first


def first_error(directory: Path) -> str | None:
    """The traceback of the process of a trial that ended by an error first, with its rank; None where none did."""
    failed = [(notes.ended, notes) for place, _ in members(directory) if (notes := read_notes(place)) and notes.error]
    if not failed:
        return None
    _, notes = min(failed, key=lambda pair: pair[0])
    return notes.error if notes.rank is None else f"rank {notes.rank} of {notes.world}:\n{notes.error}"


def _rank_0(trainers: Sequence[_Trainer]) -> _Trainer | None:
    """The process that is rank 0, or the only one that trained; None where none did."""
    first = [trainer for trainer in trainers if trainer.notes.rank == 0]
    if len(first) > 1:
        raise UnclearError(
            f"rank 0 trained in {len(first)} processes one after another, as where a launcher restarts what failed or a"
            " script starts several trainings: which of them to compare is not known"
        )
    if not first and len(trainers) > 1:
        raise UnclearError(
            f"{len(trainers)} processes trained that are no ranks of one group (torch.distributed was not initialised"
            " in them): which of them to compare is not known. Give a script that trains in one of them"
        )
    return first[0] if first else next(iter(trainers), None)


def _check_ranks(notes: Notes, reported: Sequence[Member]) -> None:
    """Check that every rank is on this machine and met the noise."""
    if notes.nodes > 1:
        raise UnclearError(
            f"the training has {notes.nodes} nodes, and only the processes of this machine are followed: give one node"
        )
    ranks = {member.rank for member in reported if member.rank is not None} | {notes.rank}
    unplaced = sum(member.rank is None for member in reported)
    missing = [rank for rank in range(notes.world or 1) if rank not in ranks]
    if notes.world is not None and len(missing) > unplaced:
        raise UnclearError(
            f"{_ranks(missing)} of {notes.world} trained without the noise: no process reported as such, so it was"
            " started with an environment of its own (without PYTHONPATH or LASTBIT_JOIN), by `python -I` or `-E`, or"
            " by another Python than lastbit's"
        )


def _take_over(recorder: Recorder, chosen: _Trainer, group: Sequence[_Trainer]) -> None:
    """Move what the chosen process recorded to where the trial's first process would have recorded it."""
    place, there = recorder.directory, chosen.directory
    split = (there / PARTS).is_file()
    if there != place:
        logged = (place / METRICS).read_bytes()  # by the first process, and so after the others had trained
        (place / METRICS).write_bytes((there / METRICS).read_bytes() + logged)
        for kept in [*(there / WEIGHTS).iterdir(), *there.glob(PREDICTIONS)]:
            kept.rename(place / kept.relative_to(there))
    if split:
        parts = [place if other is chosen else other.directory for other in group]
        if there != place:
            (there / PARTS).rename(place / PARTS)
        for file in sorted((place / WEIGHTS).iterdir()):
            recorder.snapshot(int(file.stem), whole(f"{WEIGHTS}/{file.name}", parts))
        (place / PARTS).unlink()


def _joined(first: Notes, chosen: Notes, others: Sequence[Notes]) -> Notes:
    """The chosen process's notes, with how the first one ended and the files that all of them used."""
    result = replace(chosen, replaced=first.replaced, fault=chosen.fault or first.fault, exited=first.exited)
    result.children = first.children
    everything = [first, *others]
    result.began = min(notes.began for notes in everything)
    result.ended = max(notes.ended for notes in everything)
    for name in ("read", "wrote", "sources"):
        setattr(result, name, {path: value for notes in everything for path, value in getattr(notes, name).items()})
    result.read_back = sorted({path for notes in everything for path in notes.read_back})
    result.directory = first.directory
    return result


def _out_of_step(group: Sequence[_Trainer]) -> Iterator[str]:
    """That replicas of the weights differ, in words that follow a run's label."""
    chosen, *others = (trainer.notes for trainer in group)
    parted = [notes.rank for notes in others if notes.names == chosen.names and notes.digest != chosen.digest]
    if parted:
        yield (
            f"ended with other weights on {_ranks(parted)} than on rank 0: the ranks did not keep in step, and those of"
            " rank 0 alone are compared"
        )


def _left_out(group: Sequence[_Trainer]) -> Iterator[str]:
    """What other processes trained and is not compared, in words that follow "runs"."""
    chosen, *others = (trainer.notes for trainer in group)
    alone = sum(notes.world is None for notes in others)
    if alone:
        yield (
            f"trained in {alone} more process{'es' if alone > 1 else ''} outside of any group of ranks; the weights of"
            " the first process alone are compared"
        )
    elsewhere = {name: notes.rank for notes in others for name in notes.names if name not in chosen.names}
    if elsewhere and chosen.world is not None:
        yield (
            f"updated weights that rank 0 does not, as ZeRO and pipelines do ({shortened(sorted(elsewhere), _NAMED)},"
            f" on {_ranks(sorted(set(elsewhere.values()), key=str))}): only what rank 0 updates is compared"
        )


def _ranks(numbers: Sequence[int | None]) -> str:
    return f"rank{'s' if len(numbers) > 1 else ''} {shortened([str(number) for number in numbers], _NAMED)}"


def _clear(directory: Path) -> None:
    shutil.rmtree(directory / PROCESSES, ignore_errors=True)
