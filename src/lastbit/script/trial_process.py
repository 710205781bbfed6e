"""What `lastbit run` puts into the processes of a trial: the noise, the snapshots, the recorder for `lb.log`.

Nothing here imports torch before the script does: torch reads environment variables that the script may still set.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from lastbit.script.files_used import FilesUsed, imported_sources
from lastbit.script.hooks import after_import, at_every_end, on_every_child
from lastbit.script.joining import die_with_parent, enter, pass_on, this_member
from lastbit.script.log import hear
from lastbit.script.notes import Notes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from lastbit.remedies.given import Treatment

_SHOWN = 60  # characters of what a program exits with
_STREAMS = ((1, "stdout.txt"), (2, "stderr.txt"))  # descriptor, and the trial's file for it


@contextmanager
def instruments(settings: Mapping[str, Any]) -> Iterator[None]:
    """Instrument the first process of one trial, as soon as its script imports torch, and let those it starts follow.

    What belongs to the trial's end is done at the end of the process: a program may train after its last line.

    Args:
        settings: `directory` of the running trial, its `seed`, `noise` and `remedy`, `snapshots` a decade of steps.
    """
    die_with_parent()
    pass_on("lastbit.script.trial_process:further_instruments", settings, Path(settings["directory"]))
    trial = _Trial(settings, Path(settings["directory"]))
    trial.watch()
    try:
        yield
    except SystemExit as end:
        trial.notes.exited = repr(end.code)[:_SHOWN]
        raise


@contextmanager
def further_instruments(settings: Mapping[str, Any]) -> Iterator[None]:
    """Instrument a process that another one of the trial has started.

    Args:
        settings: those of the first process, and `process`, the directory of this one.
    """
    trial = _Trial(settings, Path(settings["process"]))
    trial.watch()
    trial.find_rank()
    yield


class _Trial:
    """A trial inside one of its processes."""

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        self.settings, self.directory, self.notes = settings, directory, Notes()
        self.files = FilesUsed()
        self.remedies: Treatment = ()
        self._said: list[Callable[[], str]] = []  # of each remedy, for the end
        self._process, self._installed = os.getpid(), False
        self._is_first = directory == Path(settings["directory"])
        self._own_code = Path(sys.path[0]).resolve()  # the script's directory is first in its search path
        self._main = getattr(sys.modules["__main__"], "__file__", None)

    def watch(self) -> None:
        """Watch what this process does, and instrument torch once it is imported."""
        at_every_end(self.end, self.replaced)
        on_every_child(self.notes.children.append)
        self.files.watch(Path(self.settings["directory"]))
        after_import("torch", self.install)
        hear(self)
        if not self._is_first:
            sys.excepthook = self._noting_error(sys.excepthook)

    def _is_here(self) -> bool:
        """Whether torch was instrumented; a fork of the process becomes one of the trial's own first."""
        if not self._installed:
            return False
        if os.getpid() != self._process:
            self._process, self._is_first = os.getpid(), False
            self.directory, self.notes = enter(), Notes()
            self._record(self.snapshots)
            at_every_end(self.end, self.replaced)
        return True

    def install(self) -> None:
        """Watch for optimizers and their steps."""
        from torch._compile import _disable_dynamo
        from torch.optim.optimizer import register_optimizer_step_post_hook

        from lastbit.noise import noise_from_json
        from lastbit.script.noise_put_on import arrange_batches
        from lastbit.script.optimizers_made import on_every_optimizer

        self.noise = noise_from_json(self.settings["noise"])
        self._put_on_remedies()
        self._record()
        self.files.watch_torch()
        if self.noise.arranges:
            arrange_batches(self.noise, self._arranged, self._refuse)
        on_every_optimizer(self._made)
        # A program may compile its update, and the hooks with it; what is done here is no part of a graph.
        register_optimizer_step_post_hook(_disable_dynamo(lambda optimizer, *_: self._stepped(optimizer)))
        self._installed = True

    def _put_on_remedies(self) -> None:
        if not (given := self.settings.get("remedy")):
            return
        from lastbit.remedies.given import remedies_from_json

        self.remedies = remedies_from_json(given)
        self._said = [remedy.on_program(self._refuse) for remedy in self.remedies]

    def _record(self, earlier: Any = None) -> None:
        """Begin to record into the directory of this process."""
        from lastbit.schedules import log_spaced
        from lastbit.script.snapshots import Snapshots
        from lastbit.study.recorder import Recorder
        from lastbit.study.trial import Trial

        self.recorder = Recorder(Trial({}, self.settings["seed"], self.noise), self.directory)
        self.snapshots = Snapshots(self.recorder, log_spaced(self.settings["snapshots"]), earlier)

    def find_rank(self) -> None:
        """Note which of the processes that train together this is; keep apart what others than rank 0 print."""
        member = this_member()
        self.notes.rank, self.notes.world, self.notes.nodes = member.rank, member.world, member.nodes
        if self._installed:
            self.snapshots.only_parts = member.rank not in (None, 0)
        if self._is_first:
            return
        member.write(self.directory)
        if member.rank:
            self._print_apart(member.rank)

    def _print_apart(self, rank: int) -> None:
        """Let what this rank prints go to files of its own, unless something else than the trial reads it already."""
        output = Path(self.settings["directory"]) / "output"
        for descriptor, name in _STREAMS:
            with suppress(OSError):  # it is closed
                if os.path.sameopenfile(descriptor, there := os.open(output / name, os.O_RDONLY)):
                    apart = os.open(output / f"rank{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                    os.dup2(apart, descriptor)
                    os.close(apart)
                os.close(there)

    def log(self, step: int | None = None, **metrics: float) -> None:
        """Record what the script logs, by default at the step that it has come to."""
        if self._is_here():
            self.recorder.log(self.snapshots.step if step is None else step, **metrics)

    def log_predictions(self, labels: Tensor, targets: Tensor | None = None) -> None:
        """Keep the script's predictions."""
        if self._is_here():
            self.recorder.log_predictions(labels, targets)

    def replaced(self, command: str | None) -> None:
        """Note that the process becomes another program, or with None that it did not."""
        self.notes.replaced = command

    def _noting_error(self, hook: Any) -> Any:
        def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            """Note the error that ends this process, then do what was done with it before."""
            self.notes.error = "".join(traceback.format_exception(kind, error, trace)).strip()
            hook(kind, error, trace)

        return note

    def end(self) -> None:
        """Keep the last weights, and write the notes even if that fails."""
        try:
            if self._installed:
                self.snapshots.keep()
                self._note_steps()
                self.notes.in_turn = self.snapshots.in_turn
                if self.snapshots.step:
                    self.notes.remarks += [remark for say in self._said if (remark := say())]
                if self.notes.world is not None and self.notes.world > 1:
                    self.notes.names, self.notes.digest = self.snapshots.digest()
        except Exception:
            self.notes.fault = traceback.format_exc()
        self._note_files()
        self.notes.sources = imported_sources(self._own_code, self._main)
        self.notes.write(self.directory / "output" if self._is_first else self.directory)

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
        from lastbit.script.noise_put_on import RefusedError, attach

        if not self._is_here():
            return
        self.notes.optimizers.append(type(optimizer).__name__)
        try:
            self.notes.unfused += attach(optimizer, self.noise)
        except RefusedError as error:
            self._refuse(str(error))
        for remedy in self.remedies:
            remedy.on_made(optimizer)
        self.snapshots.made(optimizer)

    def _stepped(self, optimizer: Optimizer) -> None:
        if not self._is_here():
            return
        if not self.snapshots.step:
            self.find_rank()
        self.snapshots.stepped(optimizer)
        if self.snapshots.step == 1:
            # At the first step, by when threads and precision modes are set.
            from lastbit.execution.numerics import fingerprint

            self.notes.fingerprint = fingerprint(optimizer.param_groups[0]["params"][0].device.type)
        self._note_steps()

    def _note_steps(self) -> None:
        self.notes.steps, self.notes.diverged_at = self.snapshots.step, self.snapshots.diverged_at
