"""What a study trains, the one type for functions, recipes and scripts; and how a trial of it is run and stored."""

from __future__ import annotations

import errno
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lastbit.execution.jobs import BitFingerprint, Outcome
from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.storage.directories import STUDY
from lastbit.study.first_steps import first_steps_fingerprint
from lastbit.study.recorder import Recorder
from lastbit.study.store import Store
from lastbit.study.trial import Trial

TrainFunction = Callable[[Recorder], None]
_FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the device, or none left to this user


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
        """The bit fingerprint of this process: by default of the training's first steps.

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


def is_importable(training: Training) -> bool:
    """Whether other processes can import a training's function: one of a notebook or a console is in no file."""
    function = training.function if isinstance(training, FunctionTraining) else training
    module = getattr(function, "__module__", None)
    return module != "__main__" or hasattr(sys.modules["__main__"], "__file__")


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
        computed = time.process_time()
        outcome = self.training.run_trial(trial, self.root, bits)
        return replace(outcome, seconds=time.monotonic() - begun, core_seconds=time.process_time() - computed)


def other_bits(seed: int, wanted: BitFingerprint, bits: BitFingerprint) -> str:
    """Why a worker does not take part in a seed."""
    return (
        f"seed {seed} was begun with bit fingerprint {wanted}, and here it is {bits}: within a seed all runs need the "
        "same, or the difference would count as noise"
    )


def run_trial(
    train: TrainFunction, trial: Trial, root: Path, device: str = "cpu", bits: BitFingerprint = None
) -> Outcome[Trial]:
    """Run and store one trial with repeatable numerics.

    Args:
        train: called with the recorder; must be importable where this runs.
        trial: which seed and noise.
        root: the study's directory.
        device: kind of device, for the fingerprint.
        bits: the bit fingerprint of this process.
    """
    try:
        with Store(root).attempt(trial) as wanted, repeatable_numerics():
            return _attempt(train, trial, Store(root), device, bits) if wanted else Outcome(trial, None)
    except OSError as error:
        return unwritable(trial, root, error)


def unwritable(trial: Trial, root: Path, error: OSError) -> Outcome[Trial]:
    """The outcome of a trial that the study's directory did not take; it would take no other either."""
    return Outcome(trial, f"{root}: cannot write there: {error.strerror}", fatal=True)


def _attempt(train: TrainFunction, trial: Trial, store: Store, device: str, bits: BitFingerprint) -> Outcome[Trial]:
    recorder = store.begin(trial, fingerprint(device), bits)
    try:
        with first_update() as is_updated:
            train(recorder)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        # The trial's code is the user's: what it raises belongs to this trial alone, the others go on.
        return Outcome(trial, traceback.format_exc(), untrained=recorder.is_empty and not is_updated())
    if trial.seeds and not recorder.has_read_seeds:
        return Outcome(trial, _unread(trial), fatal=True)
    store.finish(trial, recorder)
    return Outcome(trial, None)


def _unread(trial: Trial) -> str:
    """Why a training that never looked at the seeds of its sources cannot tell them apart."""
    names = ", ".join(f"run.seeds[{name!r}]" for name in trial.seeds)
    return (
        f"the training never read run.seeds: take the seed of each source from there ({names}); run.seed is only the "
        "number of the combination"
    )


@contextmanager
def first_update() -> Iterator[Callable[[], bool]]:
    """Give a function that returns whether a torch optimizer may have been stepped since the block began.

    Outside the main thread it always may: other threads may be stepping, and a new hook would break their loop over all
    hooks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: True
        return
    from torch._compile import _disable_dynamo
    from torch.optim.optimizer import register_optimizer_step_post_hook

    stepped = threading.Event()

    def on_step(*_: object) -> None:
        """Note that there was a step."""
        stepped.set()

    # A training may compile its update; what is done here is no part of a graph.
    hook = register_optimizer_step_post_hook(_disable_dynamo(on_step))
    try:
        yield stepped.is_set
    finally:
        hook.remove()
