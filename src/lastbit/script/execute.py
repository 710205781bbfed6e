"""Runs one trial of a script and stores it."""

from pathlib import Path

from lastbit.script.ended import ScriptError, UnfitError, UntrainedError
from lastbit.script.left_over import ADVICE, left_over, notes_of_study, told
from lastbit.script.metrics import write_found
from lastbit.script.notes import Notes, read_notes
from lastbit.script.training import ScriptTraining, keep_output
from lastbit.study import Outcome, Trial
from lastbit.study.store import Store
from lastbit.study.stored_trial import OUTPUT


def run_script(train: ScriptTraining, trial: Trial, root: Path, device: str, proof: str | None = None) -> Outcome:
    """Run a script in a process of its own and store the trial with the arithmetic of that process.

    Args:
        train: the script.
        trial: which seed and noise.
        root: the study's directory.
        device: not used: the process tells the device of its weights.
        proof: of the arithmetic here.
    """
    store = Store(root)
    with store.attempt(trial) as wanted:
        return _attempt(train, trial, store, proof) if wanted else Outcome(trial, None)


def _attempt(train: ScriptTraining, trial: Trial, store: Store, proof: str | None) -> Outcome:
    recorder = store.begin(trial, {})
    try:
        notes = train.train(recorder)
    except UntrainedError as error:
        return Outcome(trial, f"{error}{_resumed(train, recorder.directory / OUTPUT, store)}", hopeless=True)
    except UnfitError as error:
        return Outcome(trial, str(error), hopeless=True)
    except ScriptError as error:
        if train.children.stopped:
            return Outcome(trial, "it was stopped")  # with the study, which is no failure of the script
        kept, code = store.failed(trial), error.exit_code
        keep_output(recorder.directory, kept)
        # Its weights are kept from the first step on; one that a signal ended may have met a passing shortage.
        untrained = recorder.is_empty and code is not None and code > 0
        said = f"{error} (all it wrote is in {kept})\n{error.said}"
        return Outcome(trial, said, exit_code=code, untrained=untrained, exited=error.exited)
    if train.children.stopped:
        return Outcome(trial, "it was stopped")  # though it ended well: a script may catch the interrupt and save
    _note_doubts(train, notes, recorder.directory / OUTPUT, store)
    store.describe_trial(trial, dict(notes.fingerprint), proof)
    write_found(train.sources, recorder.directory / OUTPUT)  # before it is stored: the controls look at it then
    store.finish(trial, recorder)
    return Outcome(trial, None)


def _resumed(train: ScriptTraining, output: Path, store: Store) -> str:
    """What to add where a script that took no step had read what another run left."""
    notes = read_notes(output) or Notes()
    found = left_over(notes, notes_of_study(store.root))
    return f". It read {told(found, train.directory)}: if it went on from there, {ADVICE}" if found else ""


def _note_doubts(train: ScriptTraining, notes: Notes, output: Path, store: Store) -> None:
    """Note that a run may have gone on from what another left."""
    found = [each for each in left_over(notes, notes_of_study(store.root)) if each.is_state]
    if found:
        notes.doubts.append(f"read {told(found, train.directory)}; {ADVICE}")
        notes.write(output)
