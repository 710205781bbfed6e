"""What a study trains: the one type for functions, recipes and scripts, and the runner that takes it to workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lastbit.execution.jobs import BitFingerprint, Outcome
from lastbit.storage.directories import STUDY
from lastbit.study.first_steps import first_steps_fingerprint
from lastbit.study.recorder import Recorder
from lastbit.study.run_trial import run_trial, unwritable
from lastbit.study.store import Store
from lastbit.study.trial import Trial

TrainFunction = Callable[[Recorder], None]


@runtime_checkable
class Training(Protocol):
    """What a study trains, once for each trial; picklable where an executor with other processes is used.

    A function, or an object that is called with a recorder such as a recipe's training, becomes one by `as_training`.
    """

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain JSON that identifies the training besides seed and noise."""

    @property
    def device(self) -> str:
        """Where it computes, such as `cpu` or `cuda`."""

    def check(self) -> None:
        """Check that what it needs, such as a data set, is on this machine.

        Raises:
            LastbitError: it is not.
        """

    def bit_fingerprint(self, control: Trial) -> BitFingerprint:
        """The bit fingerprint of this process: by custom of the training's first steps.

        Args:
            control: a trial with the noise that changes nothing.
        """

    def run_trial(self, trial: Trial, root: Path, bits: BitFingerprint) -> Outcome[Trial]:
        """Run one trial and store it.

        Args:
            trial: which seed and noise.
            root: the study's directory.
            bits: the bit fingerprint of this process.
        """


@dataclass(frozen=True)
class FunctionTraining:
    """A training in the process that it is called in.

    Settings, device and check are the function's own where it has attributes of these names. Else its qualified name
    identifies it, it computes on the CPU and needs nothing.
    """

    function: TrainFunction

    @property
    def settings(self) -> Mapping[str, Any]:
        """The function's `settings`, else its qualified name."""
        function = self.function
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
        settings: Mapping[str, Any] = getattr(function, "settings", {"name": name})
        return settings

    @property
    def device(self) -> str:
        """The function's `device`, else the CPU."""
        return str(getattr(self.function, "device", "cpu"))

    def check(self) -> None:
        """Call the function's `check`, where it has one."""
        getattr(self.function, "check", lambda: None)()

    def bit_fingerprint(self, control: Trial) -> BitFingerprint:
        """A hash of the bits of the first steps."""
        return first_steps_fingerprint(self.function, control)

    def run_trial(self, trial: Trial, root: Path, bits: BitFingerprint) -> Outcome[Trial]:
        """Call the function and store what it gave its recorder."""
        return run_trial(self.function, trial, root, self.device, bits)


def as_training(train: Training | TrainFunction) -> Training:
    """The training that a study was given, or that of the function that it was given."""
    return train if isinstance(train, Training) else FunctionTraining(train)


@dataclass(frozen=True)
class TrialRunner:
    """Runs a study's trials in whichever process it is called; the `lastbit.execution.jobs.Runner` of a study."""

    training: Training
    root: Path  # the study's directory
    control: Trial  # whose first steps give bit fingerprints

    @property
    def description(self) -> Path:
        """The file that says what the study is."""
        return self.root / STUDY

    @property
    def needs_gpu(self) -> bool:
        """Whether trials are for workers with a GPU."""
        return self.training.device.startswith("cuda")

    def with_absolute_root(self) -> TrialRunner:
        """The same for processes that were started in another directory."""
        return replace(self, root=self.root.absolute())

    def check(self) -> None:
        """Check that what the training needs is on this machine.

        Raises:
            LastbitError: it is not.
        """
        self.training.check()

    def bit_fingerprint(self) -> BitFingerprint:
        """The bit fingerprint of this process."""
        return self.training.bit_fingerprint(self.control)

    def __call__(self, trial: Trial) -> Outcome[Trial]:
        """Run and store one trial where its seed group has this process's bits, and measure how long it took."""
        begun, bits = time.monotonic(), self.bit_fingerprint()
        try:
            wanted = Store(self.root).claim_seed(trial.seed, bits)
        except OSError as error:
            return unwritable(trial, self.root, error)
        if wanted != bits:
            return Outcome(trial, other_bits(trial.seed, wanted, bits))
        outcome = self.training.run_trial(trial, self.root, bits)
        return replace(outcome, seconds=time.monotonic() - begun)


def other_bits(seed: int, wanted: BitFingerprint, bits: BitFingerprint) -> str:
    """Why a worker does not take part in a seed."""
    return (
        f"seed {seed} was begun with bit fingerprint {wanted}, and here it is {bits}: within a seed all runs need the "
        "same, or the difference would count as noise"
    )
