"""What `lastbit run` puts into the process of a trial: the noise, the snapshots, the recorder for `lb.log`.

Nothing here imports torch before the script does: torch reads environment variables that the script may still set.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.script.files_used import FilesUsed, imported_sources
from lastbit.script.hooks import after_import, at_every_end, on_every_child
from lastbit.script.log import hear
from lastbit.script.notes import Notes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from lastbit.noise import Noise

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_SHOWN = 60  # characters of what a program exits with


@contextmanager
def instruments(settings: Mapping[str, Any]) -> Iterator[None]:
    """Instrument this process for one trial, as soon as its script imports torch.

    What belongs to the trial's end is done at the end of the process: a program may train after its last line.

    Args:
        settings: `directory` of the running trial, its `seed` and `noise`, `snapshots` a decade of steps.
    """
    _die_with_parent()
    trial = _Trial(settings)
    at_every_end(trial.end, trial.replaced)
    on_every_child(trial.notes.children.append)
    trial.files.watch(trial.directory)
    after_import("torch", trial.install)
    hear(trial)
    try:
        yield
    except SystemExit as end:
        trial.notes.exited = repr(end.code)[:_SHOWN]
        raise


class _Trial:
    """A trial inside its process."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.directory, self.notes = settings, Path(settings["directory"]), Notes()
        self.files = FilesUsed()
        self._process, self._installed = os.getpid(), False
        self._own_code = Path(sys.path[0]).resolve()  # the script's directory is first in its search path

    @property
    def _is_here(self) -> bool:
        """Whether this is the trial's process and no fork of it, whose weights would be mixed in."""
        return self._installed and os.getpid() == self._process

    def install(self) -> None:
        """Watch for optimizers and their steps."""
        from torch._compile import _disable_dynamo
        from torch.optim.optimizer import register_optimizer_step_post_hook

        from lastbit.noise import noise_from_json
        from lastbit.schedules import log_spaced
        from lastbit.script.snapshots import Snapshots, on_every_optimizer
        from lastbit.study.recorder import Recorder
        from lastbit.study.trial import Trial

        self.noise = noise_from_json(self.settings["noise"])
        self.recorder = Recorder(Trial({}, self.settings["seed"], self.noise), self.directory)
        self.snapshots = Snapshots(self.recorder, log_spaced(self.settings["snapshots"]))
        self.files.watch_torch()
        if self.noise.arranges:
            arrange_batches(self.noise, self._arranged, self._refuse)
        on_every_optimizer(self._made)
        # A program may compile its update, and the hooks with it; what is done here is no part of a graph.
        register_optimizer_step_post_hook(_disable_dynamo(lambda optimizer, *_: self._stepped(optimizer)))
        self._installed = True

    def log(self, step: int | None = None, **metrics: float) -> None:
        """Record what the script logs, by default at the step that it has come to."""
        if self._is_here:
            self.recorder.log(self.snapshots.step if step is None else step, **metrics)

    def log_predictions(self, labels: Tensor, targets: Tensor | None = None) -> None:
        """Keep the script's predictions."""
        if self._is_here:
            self.recorder.log_predictions(labels, targets)

    def replaced(self, command: str | None) -> None:
        """Note that the process becomes another program, or with None that it did not."""
        self.notes.replaced = command

    def end(self) -> None:
        """Keep the last weights, and write the notes even if that fails."""
        try:
            if self._installed:
                self.snapshots.keep()
                self._note_steps()
                self.notes.in_turn = self.snapshots.in_turn
        except Exception:
            self.notes.fault = traceback.format_exc()
        self._note_files()
        self.notes.sources = imported_sources(self._own_code)
        self.notes.write(self.directory / "output")

    def _note_files(self) -> None:
        self.files.close()
        self.notes.read, self.notes.wrote = self.files.read, self.files.wrote
        self.notes.read_back = list(self.files.read_back)
        self.notes.began, self.notes.ended = self.files.began, time.time_ns()
        with suppress(OSError):  # it was removed
            self.notes.directory = str(Path.cwd())

    def _arranged(self) -> None:
        self.notes.arranged += 1

    def _refuse(self, reason: str) -> NoReturn:
        self.notes.refused = reason
        sys.exit(f"lastbit: {reason}")

    def _made(self, optimizer: Optimizer) -> None:
        if not self._is_here:
            return
        self.notes.optimizers.append(type(optimizer).__name__)
        try:
            self.notes.unfused += attach(optimizer, self.noise)
        except RefusedError as error:
            self._refuse(str(error))
        self.snapshots.made(optimizer)

    def _stepped(self, optimizer: Optimizer) -> None:
        if not self._is_here:
            return
        self.snapshots.stepped(optimizer)
        if self.snapshots.step == 1:
            # At the first step, by when threads and precision modes are set.
            from lastbit.execution.numerics import fingerprint

            self.notes.fingerprint = fingerprint(optimizer.param_groups[0]["params"][0].device.type)
        self._note_steps()

    def _note_steps(self) -> None:
        self.notes.steps, self.notes.diverged_at = self.snapshots.step, self.snapshots.diverged_at


def _die_with_parent() -> None:
    """Let the kernel end this process if the one that started it is killed; elsewhere than on Linux it goes on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class RefusedError(LastbitError):
    """A noise cannot be put on an optimizer; the message is for the person who chose both."""


def attach(optimizer: Optimizer, noise: Noise) -> bool:
    """Put `noise` on `optimizer`; return whether its fused kernels were turned off for that.

    They are turned off for every noise of a kind that does not take them, the one that changes nothing included, so
    that all trials step alike.

    Raises:
        RefusedError: the noise is not for this optimizer, or not with its options.
    """
    from lastbit.noise import install

    unfused = not noise.takes_fused and any(group.get("fused") for group in optimizer.param_groups)
    if unfused:
        for options in (*optimizer.param_groups, optimizer.defaults):
            options["fused"] = False
        # Fused kernels divide by a gradient scaler's scale themselves; without them the scaler must do it.
        vars(optimizer).pop("_step_supports_amp_scaling", None)
    try:
        install(optimizer, noise)
    except LastbitTypeError as error:
        raise RefusedError(f"--noise {noise.kind}: {error}") from None
    except LastbitError as error:
        raise RefusedError(f"the script's {type(optimizer).__name__}: {error}") from None
    return unfused


def arrange_batches(noise: Noise, on_batch: Callable[[], None], refuse: Callable[[str], NoReturn]) -> None:
    """Make every data loader of the program give its batches as `noise` arranges them.

    Loaders that go through their data in order are left alone: these are for evaluation, where the order of predictions
    has a meaning. Batches are counted over all loaders, so that epochs differ.

    Args:
        noise: of which `arrange` is used.
        on_batch: called for each batch that it arranges.
        refuse: called with the reason where a batch cannot be arranged; it ends the program.
    """
    from torch.utils.data import SequentialSampler
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    hand_out = _BaseDataLoaderIter.__next__
    handed = 0

    def arranged(loader: Any) -> Any:
        """The loader's next batch, its samples in the noise's order."""
        nonlocal handed
        batch = hand_out(loader)
        sampler = getattr(loader, "_index_sampler", None)
        if isinstance(getattr(sampler, "sampler", sampler), SequentialSampler):
            return batch
        handed += 1
        on_batch()
        try:
            return noise.arrange(batch, handed - 1)
        except LastbitError as error:
            refuse(f"--noise {noise.kind}: {error}")

    _BaseDataLoaderIter.__next__ = arranged  # type: ignore[method-assign,assignment]
