"""What the audit puts into each of its two processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lastbit.script.audit.generators import generators, python_state
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.hooks import after_import


@contextmanager
def record(settings: Mapping[str, Any]) -> Iterator[None]:
    """Audit this process's program from its first line to its last, as one of two runs.

    Args:
        settings: `lockstep`, the shared file; `side`, 0 or 1; `directory`, this run's; `other`, the other run's;
            `threads` of torch, and `steps` after which to stop, each or null; `fill`, of memory that is allocated
            without values.
    """
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
        instruments.callback(self.sum_up)
        instruments.callback(optimizers.register_optimizer_step_post_hook(self._stepped).remove)
        instruments.enter_context(around_loaders(self._reporter.batches, self._recorder.unobserved))
        instruments.enter_context(around_compilers(self._graphs, self._recorder.unobserved))
        instruments.enter_context(self._recorder)

    def sum_up(self) -> None:
        """Write down what the audit could not compare, and what it leaves open."""
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
        self._lockstep.end()
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: the program must not go on, nor catch this, nor write a checkpoint on its way out.
        os._exit(0)

    def _stepped(self, *_: Any) -> None:
        """Count an optimizer step and stop at the last one wanted."""
        if self._lockstep.count_step() == self._settings["steps"]:
            self.stop()
