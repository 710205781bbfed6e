"""Runs one trial and stores it, in whichever process it is called."""

from __future__ import annotations

import errno
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lastbit.execution.jobs import BitFingerprint, Outcome
from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.study.recorder import Recorder
from lastbit.study.store import Store
from lastbit.study.trial import Trial

_FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the device, or none left to this user


def run_trial(
    train: Callable[[Recorder], None], trial: Trial, root: Path, device: str = "cpu", bits: BitFingerprint = None
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


def _attempt(
    train: Callable[[Recorder], None], trial: Trial, store: Store, device: str, bits: BitFingerprint
) -> Outcome[Trial]:
    recorder = store.begin(trial, fingerprint(device), bits)
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


@contextmanager
def first_update() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether a torch optimizer may have been stepped since the block began.

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
