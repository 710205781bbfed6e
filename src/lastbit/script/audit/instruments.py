"""What the audit puts into each process of its two runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lastbit.script.audit.generators import generators, python_state
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.ranks import own_settings, pause_loaders_workers
from lastbit.script.hooks import after_import, at_every_end, in_trained_forks, on_every_child, serves
from lastbit.script.joining import enter, pass_on, this_member

_MOST_WAITED = 120.0  # seconds until a process that has nothing more to do ends by itself
_FORKED = ("multiprocessing, fork", "multiprocessing, None", "os.fork")


@contextmanager
def record(settings: Mapping[str, Any]) -> Iterator[None]:
    """Audit this process's program from its first line to its last, as one of two runs.

    Args:
        settings: `lockstep`, the shared file; `side`, 0 or 1; `directory`, this run's; `other`, the other run's;
            `threads` of torch, and `steps` after which to stop, each or null; `fill`, of memory that is allocated
            without values.
    """
    pass_on("lastbit.script.audit.instruments:record_further", settings, Path(settings["directory"]))
    with _recorded(settings):
        yield


@contextmanager
def record_further(settings: Mapping[str, Any]) -> Iterator[None]:
    """Audit a process that another one of an audited run has started, from its import of torch to its end.

    Args:
        settings: those of the run's first process.
    """
    with _recorded(own_settings(settings)):
        yield


@contextmanager
def _recorded(settings: Mapping[str, Any]) -> Iterator[None]:
    lockstep = Lockstep(Path(settings["lockstep"]), settings["side"])
    state = python_state()  # before the program's first line
    with ExitStack() as instruments:
        instruments.callback(lockstep.end)
        # Not before the program does: what it sets in the environment for torch must still count.
        after_import("torch", lambda: _Audited(settings, lockstep, state).install(instruments))
        yield


class _Audited:
    """A program under the audit, seen from inside its process, which has imported torch."""

    def __init__(self, settings: Mapping[str, Any], lockstep: Lockstep, python_state: int) -> None:
        from lastbit.script.audit.comparison import BitComparison, Reporter
        from lastbit.script.audit.graph_calls import GraphComparison
        from lastbit.script.audit.memory import WrittenMemory
        from lastbit.script.audit.recorder import AuditMode

        self._is_further = settings.get("further", False)
        self._settings, self._lockstep, self._directory = settings, lockstep, Path(settings["directory"])
        self._memory = WrittenMemory()
        self._reporter = Reporter(lockstep, self._memory, python_state)
        self._comparison = BitComparison(
            lockstep,
            self._memory,
            self._reporter,
            side=settings["side"],
            fill=settings["fill"],
            directory=self._directory,
            other=Path(settings["other"]),
            stop=self.stop,
        )
        self._recorder = AuditMode(self._comparison, self._memory, settings["fill"])
        self._graphs = GraphComparison(self._comparison, self._memory, self._reporter, self._recorder.hidden)

    def install(self, instruments: ExitStack) -> None:
        """See and compare every operation until the stack is closed."""
        import torch
        from torch.optim import optimizer as optimizers

        from lastbit.script.audit.compiled import around_compilers
        from lastbit.script.audit.loaders import around_loaders

        if self._settings["threads"] is not None:
            torch.set_num_threads(self._settings["threads"])
        # A loader's workers, forked from here, compute at their own pace: what they hand over is compared when read.
        os.register_at_fork(after_in_child=self._recorder.pause)
        on_every_child(self._count_forked)
        if self._is_further:
            pause_loaders_workers(self._recorder.pause)
        instruments.callback(self.sum_up)
        watching = instruments.enter_context(ExitStack())
        if not self._is_further:
            in_trained_forks(self, lambda _: self._go_on_in_fork(watching))
        watching.callback(optimizers.register_optimizer_step_post_hook(self._stepped).remove)
        watching.enter_context(around_loaders(self._reporter.batches, self._recorder.unobserved))
        watching.enter_context(around_compilers(self._graphs, self._recorder.unobserved))
        watching.enter_context(self._recorder.watching())

    def _go_on_in_fork(self, watching: ExitStack) -> None:
        """Audit a process that was forked from this one as one that was started anew; its partner was forked likewise.

        Args:
            watching: what sees the operations of the process that was forked.
        """
        from torch.utils._python_dispatch import _get_current_dispatch_mode

        if _get_current_dispatch_mode() is not self._recorder:
            return
        watching.close()
        enter()
        own, instruments = own_settings(self._settings), ExitStack()
        lockstep = Lockstep(Path(own["lockstep"]), own["side"])
        instruments.callback(lockstep.end)
        at_every_end(instruments.close, lambda words: None)
        _Audited(own, lockstep, python_state()).install(instruments)

    def _count_forked(self, words: str) -> None:
        """Count a process that goes on with what this one has, and is not compared."""
        if words.startswith(_FORKED) and (self._is_further or words.startswith("os.fork") or serves(words)):
            self._recorder.unobserved[f"processes forked from this one ({words}), with all that they do"] += 1

    def sum_up(self) -> None:
        """Write down what the audit could not compare, and what it leaves open."""
        this_member().write(self._directory)  # with its rank, where that became known
        from lastbit.script.audit.evidence import Summary

        Summary(
            unseen=dict(self._comparison.unseen),
            unobserved=dict(self._recorder.unobserved),
            compiled=self._graphs.counts,
            filled=self._memory.filled,
            took_unwritten=self._comparison.took_unwritten,
            unwritten_differences=self._comparison.unwritten_differences,
            may_have_escaped=self._comparison.may_have_escaped,
            start=self._reporter.start,
            end=generators(),
            files=tuple(self._reporter.files()),
        ).write(self._directory)

    def stop(self) -> None:
        """End the process at once, with its output flushed."""
        self.sum_up()
        # A launcher, or other ranks, would take the end of one for a failure: who watches the runs ends them all.
        waits = self._is_further or (this_member().world or 1) > 1
        self._lockstep.end(waits=waits)
        sys.stdout.flush()
        sys.stderr.flush()
        if waits:
            time.sleep(_MOST_WAITED)
        # At once: the program must not go on, nor catch this, nor write a checkpoint on its way out.
        os._exit(0)

    def _stepped(self, *_: Any) -> None:
        """Count an optimizer step and stop at the last one wanted."""
        if self._lockstep.count_step() == self._settings["steps"]:
            self.stop()
