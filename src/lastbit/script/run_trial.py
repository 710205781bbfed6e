"""Runs one trial of a script, and stores it with the fingerprint of the script's process."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lastbit.execution.jobs import BitFingerprint, Outcome
from lastbit.script.left_over import ADVICE, left_over, notes_of_study, told
from lastbit.script.metrics import MetricSource, write_found
from lastbit.script.notes import Notes, ScriptError, UnfitError, UntrainedError, read_notes
from lastbit.script.processes import Children
from lastbit.study.recorder import Recorder
from lastbit.study.store import Store
from lastbit.study.stored_trial import OUTPUT
from lastbit.study.trial import Trial


class Script(Protocol):
    """What is needed of a `lastbit.script.training.ScriptTraining`."""

    @property
    def sources(self) -> Sequence[MetricSource]:
        """Of metrics beside those that the script logs."""

    @property
    def directory(self) -> Path:
        """Where the script runs."""

    @property
    def children(self) -> Children:
        """The processes of this one that run the script."""

    def train(self, run: Recorder) -> Notes:
        """Run the script for a trial."""


def run_script(script: Script, trial: Trial, root: Path, bits: BitFingerprint) -> Outcome[Trial]:
    """Run a script in a process of its own, and store the trial.

    Args:
        script: that is run.
        trial: which seed and noise.
        root: the study's directory.
        bits: the bit fingerprint of this process.
    """
    store = Store(root)
    with store.attempt(trial) as wanted:
        return _attempt(script, trial, store, bits) if wanted else Outcome(trial, None)


def _attempt(script: Script, trial: Trial, store: Store, bits: BitFingerprint) -> Outcome[Trial]:
    recorder = store.begin(trial, {})
    try:
        notes = script.train(recorder)
    except UntrainedError as error:
        return Outcome(trial, f"{error}{_resumed(script, recorder.directory / OUTPUT, store)}", fatal=True)
    except UnfitError as error:
        return Outcome(trial, str(error), fatal=True)
    except ScriptError as error:
        if script.children.stopped:
            return Outcome(trial, "it was stopped")  # with the study, which is no failure of the script
        kept, code = store.failed(trial), error.exit_code
        _keep_output(recorder.directory, kept)
        # Its weights are kept from the first step on; one that a signal ended may have met a passing shortage.
        untrained = recorder.is_empty and code is not None and code > 0
        said = f"{error} (all it wrote is in {kept})\n{error.said}"
        return Outcome(trial, said, exit_code=code, untrained=untrained, exited=error.exited)
    if script.children.stopped:
        return Outcome(trial, "it was stopped")  # though it ended well: a script may catch the interrupt and save
    _note_doubts(script, notes, recorder.directory / OUTPUT, store)
    store.describe_trial(trial, dict(notes.fingerprint), bits)
    write_found(script.sources, recorder.directory / OUTPUT)  # before it is stored: the controls look at it then
    store.finish(trial, recorder)
    return Outcome(trial, None)


def _keep_output(directory: Path, kept: Path) -> None:
    """Move what a failed trial wrote to a place that outlives the trial."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(directory / OUTPUT, kept)


def _resumed(script: Script, output: Path, store: Store) -> str:
    """What to add where a script that took no step had read what another run left."""
    notes = read_notes(output) or Notes()
    found = left_over(notes, notes_of_study(store.root))
    return f". It read {told(found, script.directory)}: if it went on from there, {ADVICE}" if found else ""


def _note_doubts(script: Script, notes: Notes, output: Path, store: Store) -> None:
    """Note that a run may have gone on from what another left."""
    found = [file for file in left_over(notes, notes_of_study(store.root)) if file.is_state]
    if found:
        notes.doubts.append(f"read {told(found, script.directory)}; {ADVICE}")
        notes.write(output)
