"""Runs one trial of a script and stores it."""

from pathlib import Path

from lastbit.script.metrics import write_found
from lastbit.script.training import ScriptError, ScriptTraining, UnfitError, keep_output
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
    except UnfitError as error:
        return Outcome(trial, str(error), hopeless=True)
    except ScriptError as error:
        if train.children.stopped:
            return Outcome(trial, "it was stopped")  # with the study, which is no failure of the script
        kept = store.failed(trial)
        keep_output(recorder.directory, kept)
        return Outcome(trial, f"{error} (all it wrote is in {kept})\n{error.said}", exit_code=error.exit_code)
    store.describe(trial, dict(notes.fingerprint), proof)
    write_found(train.sources, recorder.directory / OUTPUT)  # before it is stored: the controls look at it then
    store.finish(trial, recorder)
    return Outcome(trial, None)
