"""What a person should know of how a script was run and what was read of it, in lines."""

from collections.abc import Iterator, Sequence
from math import isnan

from lastbit.script.left_over import ADVICE, left_over, notes_of_study, told
from lastbit.script.notes import Notes
from lastbit.script.study import notes_of
from lastbit.script.training import ScriptTraining
from lastbit.study import Study, Trial
from lastbit.study.stored_trial import OUTPUT, StoredTrial


def remarks(study: Study, training: ScriptTraining) -> Iterator[str]:
    """Lines about numbers that were not read as they seem, runs of other lengths, and networks trained in turn.

    Args:
        study: of a script, with a stored trial.
        training: the script.
    """
    trials = study.stored()
    stored = [study.store.load(trial) for trial in trials]
    for source in training.sources:
        doubts = (source.doubt(trial.directory / OUTPUT) for trial in stored)
        lines = [next(filter(None, doubts), ""), *(_without_value(name, stored) for name in source.names)]
        yield from filter(None, lines)
    notes = [notes_of(study, trial) for trial in trials]
    yield from _lengths(trials, notes)
    in_turn = max(note.in_turn for note in notes)
    if in_turn > 1:
        yield (
            f"{training.target.name} trained {in_turn} networks one after another. At each step the weights of the one"
            " then in training are compared; of a metric that each of them gives, the last one's counts"
        )


def shared_files(study: Study, training: ScriptTraining) -> str:
    """That a run read what another left, in a sentence; empty where none did."""
    notes = notes_of_study(study.store.root)
    for label, mine in notes.items():
        others = {name: other for name, other in notes.items() if name != label}
        if found := left_over(mine, others):
            return f"The run of {label} read {told(found, training.directory)}: {ADVICE}"
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
