"""Runs one trial, in whichever process it is called."""

import errno
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.study.proof import Prove
from lastbit.study.recorder import Recorder
from lastbit.study.repeated_failure import first_update
from lastbit.study.store import Store
from lastbit.study.trial import Trial

_FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the device, or none left to this user
TrainFunction = Callable[[Recorder], None]


@dataclass(frozen=True)
class Outcome:
    """How a trial went: stored, or failed with an exception of the training function's own."""

    trial: Trial
    error: str | None  # the traceback; None where the trial is stored
    hopeless: bool = False  # whether every other trial would fail alike, so that none need be tried
    exit_code: int | None = None  # of the trial's own process, where it had one and failed
    seconds: float = 0.0  # from its beginning to its end
    untrained: bool = False  # whether it failed before its first update, so that another would as well
    exited: bool = False  # whether it ended itself with a failing status after its training, as another would


class Execute(Protocol):
    """Runs and stores one trial, as `run_trial` does."""

    def __call__(self, train: Any, trial: Trial, root: Path, device: str, proof: str | None) -> Outcome:
        """Run `trial` with `train` and store it under `root`, with the proof of this process's arithmetic."""


@dataclass(frozen=True)
class Job:
    """Runs trials of a study in whichever process it is called; plain data, so that it travels to workers."""

    execute: Execute
    prove: Prove
    train: Any
    root: Path  # the study's directory
    device: str
    control: Trial  # of whose beginning proofs are made

    @property
    def needs_gpu(self) -> bool:
        """Whether it is for a worker with a GPU."""
        return self.device.startswith("cuda")

    def proof(self) -> str | None:
        """A hash of this process's arithmetic; None where the training does not repeat itself."""
        return self.prove(self.train, self.control)

    def __call__(self, trial: Trial) -> Outcome:
        """Run and store one trial where this process's arithmetic is its column's, and tell how long it took."""
        begun, mine = time.monotonic(), self.proof()
        try:
            columns = Store(self.root).claim_column(trial.seed, mine)
        except OSError as error:
            return unwritable(trial, self.root, error)
        if columns != mine:
            return Outcome(trial, other_arithmetic(trial.seed, columns, mine))
        outcome = self.execute(self.train, trial, self.root, self.device, mine)
        return replace(outcome, seconds=time.monotonic() - begun)


def own_settings(train: TrainFunction) -> Mapping[str, Any]:
    """What identifies a training besides seed and noise: its `settings`, else the function's qualified name."""
    function = f"{getattr(train, '__module__', '')}.{getattr(train, '__qualname__', type(train).__qualname__)}"
    settings: Mapping[str, Any] = getattr(train, "settings", {"name": function})
    return settings


def other_arithmetic(seed: int, column: str | None, worker: str | None) -> str:
    """Why a worker does not take part in a column."""
    return (
        f"seed {seed} was begun on arithmetic {column}, and here it is {worker}: within a seed all runs need the same "
        "bits of it, or the difference would count as noise"
    )


def unwritable(trial: Trial, root: Path, error: OSError) -> Outcome:
    """The outcome of a trial that the study's directory did not take; it would take no other either."""
    return Outcome(trial, f"{root}: cannot write there: {error.strerror}", hopeless=True)


def run_trial(train: TrainFunction, trial: Trial, root: Path, device: str, proof: str | None = None) -> Outcome:
    """Run and store one trial with arithmetic that repeats.

    Args:
        train: called with the recorder; must be importable where this runs.
        trial: which seed and noise.
        root: the study's directory.
        device: kind of device, for the fingerprint.
        proof: of this process's arithmetic.
    """
    try:
        with Store(root).attempt(trial) as wanted, repeatable_numerics():
            return _attempt(train, trial, Store(root), device, proof) if wanted else Outcome(trial, None)
    except OSError as error:
        return unwritable(trial, root, error)


def _attempt(train: TrainFunction, trial: Trial, store: Store, device: str, proof: str | None) -> Outcome:
    recorder = store.begin(trial, fingerprint(device), proof)
    try:
        with first_update() as is_updated:
            train(recorder)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        # The trial's code is the user's: what it raises belongs to this trial alone, the others go on.
        return Outcome(trial, traceback.format_exc(), untrained=recorder.is_empty and not is_updated())
    store.finish(trial, recorder)
    return Outcome(trial, None)
