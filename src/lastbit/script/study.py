"""A study of a person's script: its directory, its metric, and what to say of all trials in the end."""

from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.files_used import changed_sources
from lastbit.script.metrics import write_found
from lastbit.script.notes import ADVICE, Notes, left_over, name_files, notes_of_study, read_notes
from lastbit.script.training import ScriptTraining
from lastbit.study import Study, Trial
from lastbit.study.agreement import first_logged
from lastbit.study.directory import OtherStudyError, advice, since
from lastbit.study.metric import Metric
from lastbit.study.stored_trial import OUTPUT, StoredTrial

UNKNOWN = Metric("", "any metric")


def script_study(out: Path, training: ScriptTraining, *, controlled: bool, **planned: Any) -> Study:
    """The study of a script; its metric is the first that its sources name.

    Args:
        out: its directory.
        training: the script.
        controlled: whether control runs are made.
        planned: noises, and seeds or what varies in how many runs, as `Study` takes them.

    Raises:
        LastbitError: no noise, no seed, or one twice; or sources or a number of runs that make no design.
    """
    return Study(
        out,
        training,
        **planned,
        controlled=controlled,
        metric=_named(training) or UNKNOWN,
        seed_decides=None if training.seed_args else "the script's seed",
    )


def check_directory(study: Study, training: ScriptTraining) -> None:
    """Check that the study's directory is this script's, as it is now, or free for it; nothing is touched.

    Raises:
        LastbitError: it holds runs of another script or of other settings, or other files.
        DamagedError: its `study.json` is not what was written.
    """
    try:
        study.store.check(study.description())
    except OtherStudyError as error:
        if "script" not in error.changed or "command" in error.changed:
            raise
        raise LastbitError(
            f"{training.target.name} has changed: {study.store.root} holds another study, {since(study.store.root)} "
            f"({', '.join(f'{setting} {values}' for setting, values in error.changed.items())}). Old and new runs "
            f"cannot be compared: {advice(study.store.root)}"
        ) from None


def find_again(study: Study, training: ScriptTraining) -> None:
    """Look for the metrics of stored trials once more, since the patterns may be others now.

    Raises:
        LastbitError: code that a stored trial imported is not what it was.
        DamagedError: what a stored trial wrote is not what it was.
    """
    for trial in study.stored():
        study.store.load(trial).verify(OUTPUT)
        changed = changed_sources(notes_of(study, trial).sources)
        if changed:
            raise LastbitError(
                f"{changed[0]} has changed since trials in {study.store.root} ran it ({since(study.store.root)}): old "
                f"and new runs cannot be compared: {advice(study.store.root)}"
            )
        write_found(training.metrics, study.store.load(trial).directory / OUTPUT)


def refuse_missing_metrics(study: Study, training: ScriptTraining) -> None:
    """Refuse a pattern or a file that gave no number in any trial stored so far.

    Trials that diverged do not count: a script may end before it evaluates.

    Raises:
        LastbitError: there is one; the message says what was looked for, and what the first trial wrote instead.
    """
    stored = {trial.label: study.store.load(trial) for trial in study.stored()}
    finished = {label: trial for label, trial in stored.items() if trial.diverged_at is None}
    for source in training.metrics if finished else ():
        if not any(name in row for trial in finished.values() for row in trial.metrics for name in source.names):
            label, first = next(iter(finished.items()))
            raise LastbitError(
                f"{source.missing(first.directory / OUTPUT)} (the run of {label}). Nothing more is run, and what ran is"
                " stored: the same command with another metric searches it again"
            )


def choose_metric(study: Study, training: ScriptTraining) -> None:
    """Where no source names a metric, let it be the first one that the script logged."""
    if _named(training) is None:
        logged = (first_logged(study.store.load(trial)) for trial in study.stored())
        name = next(filter(None, logged), "")
        study.metric = Metric(name, name) if name else UNKNOWN
        study.store.describe(study.description())


def notes_of(study: Study, trial: Trial) -> Notes:
    """What the process of a stored trial noted."""
    return read_notes(study.store.load(trial).directory / OUTPUT) or Notes()


def _named(training: ScriptTraining) -> Metric | None:
    names = [name for source in training.metrics for name in source.names]
    return Metric(names[0], names[0]) if names else None


def remarks(study: Study, training: ScriptTraining) -> Iterator[str]:
    """What a person should know of how the script was run and of what was read of it, in lines.

    Fused kernels that were turned off, what other ranks than 0 trained, numbers that were not read as they seem, runs
    of other lengths, networks trained one after another, and metrics that no run gave.

    Args:
        study: of a script, with a stored trial.
        training: the script.
    """
    trials = study.stored()
    stored = [study.store.load(trial) for trial in trials]
    notes = [notes_of(study, trial) for trial in trials]
    if unfused := max(note.unfused for note in notes):
        yield (
            f"{unfused} optimizer(s) were made with fused=True, which was turned off in every run, the baseline's"
            " included: fused kernels round otherwise and cannot be matched"
        )
    said = [remark for note in notes for remark in note.remarks]
    yield from (f"{said.count(remark)} of {len(notes)} runs {remark}" for remark in dict.fromkeys(said))
    for source in training.metrics:
        doubts = (source.doubt(trial.directory / OUTPUT) for trial in stored)
        lines = [next(filter(None, doubts), ""), *(_without_value(name, stored) for name in source.names)]
        yield from filter(None, lines)
    yield from _lengths(trials, notes)
    in_turn = max(note.in_turn for note in notes)
    if in_turn > 1:
        yield (
            f"{training.target.name} trained {in_turn} networks one after another. At each step the weights of the one"
            " then in training are compared; of a metric that each of them gives, the last one's counts"
        )
    for source in training.metrics:
        if not any(name in row for trial in stored for row in trial.metrics for name in source.names):
            missing = source.missing(stored[0].directory / OUTPUT)
            yield f"no run gave the metric {' or '.join(source.names)}: {missing}. What the weights say stands"


def shared_files(study: Study, training: ScriptTraining) -> str:
    """That a run read what another left, in a sentence; empty where none did."""
    notes = notes_of_study(study.store.root)
    for label, mine in notes.items():
        others = {name: other for name, other in notes.items() if name != label}
        if paths := left_over(mine, others):
            return f"The run of {label} read {name_files(paths, training.directory)}: {ADVICE}"
    return ""


def _without_value(name: str, stored: Sequence[StoredTrial]) -> str:
    last = [next((row[name] for row in reversed(trial.metrics) if name in row), 0.0) for trial in stored]
    count = sum(value is None or isnan(value) for value in last)
    return f"{name} ended as NaN in {count} of {len(stored)} runs, controls included; they count in no average" * bool(
        count
    )


def _lengths(trials: Sequence[Trial], notes: Sequence[Notes]) -> Iterator[str]:
    steps = [note.steps for note in notes]
    if len(set(steps)) > 1:
        few, many = steps.index(min(steps)), steps.index(max(steps))
        yield (
            f"runs did not take the same number of steps: {trials[few].label} took {steps[few]}, {trials[many].label}"
            f" took {steps[many]}. Where the script does not stop by what it measures, one of them was ended early"
        )
