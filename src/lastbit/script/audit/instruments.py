"""What the audit puts into each of its two processes."""

from __future__ import annotations

import os
import random
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.on_import import after_import


@contextmanager
def record(settings: Mapping[str, Any]) -> Iterator[None]:
    """Audit this process's program from its first line to its last, as one of two runs.

    Args:
        settings: `lockstep`, the shared file; `side`, 0 or 1; `directory`, this run's; `threads` of torch, and
            `steps` after which to stop, each or null; `fill`, of memory that is allocated without values.
    """
    lockstep = Lockstep(Path(settings["lockstep"]), settings["side"])
    python_state = zlib.crc32(repr(random.getstate()).encode())
    with ExitStack() as instruments:
        instruments.callback(lockstep.end)
        # Not before the program does: what it sets in the environment for torch must still count.
        after_import("torch", lambda: _install(settings, lockstep, python_state, instruments))
        yield


def _install(settings: Mapping[str, Any], lockstep: Lockstep, python_state: int, instruments: ExitStack) -> None:
    import torch
    from torch.optim import optimizer as optimizers

    from lastbit.script.audit.comparison import Comparison
    from lastbit.script.audit.compiled import around_compilers
    from lastbit.script.audit.disagreement import Disagreements
    from lastbit.script.audit.exchange import Exchange
    from lastbit.script.audit.generators import generators
    from lastbit.script.audit.memory import Memory
    from lastbit.script.audit.recorder import Recorder
    from lastbit.script.audit.summary import Summary
    from lastbit.script.audit.teller import Teller

    side, directory = settings["side"], Path(settings["directory"])

    def sum_up() -> None:
        """Write down what the audit could not compare, and what it leaves open."""
        Summary(
            unseen=dict(comparison.unseen),
            unobserved=dict(recorder.unobserved + compiled),
            filled=memory.filled,
            took_unwritten=comparison.took_unwritten,
            suspect=comparison.suspect,
            suspicious=comparison.suspicious,
            start=teller.start,
            end=generators(),
            files=tuple(teller.files()),
        ).write(directory)

    def stop() -> None:
        """End the process at once, with its output flushed."""
        sum_up()
        lockstep.end()
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: the program must not go on, nor catch this, nor write a checkpoint on its way out.
        os._exit(0)

    def on_step(*_: Any) -> None:
        """Count an optimizer step and stop at the last one wanted."""
        if lockstep.count_step() == settings["steps"]:
            stop()

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    memory = Memory()
    teller = Teller(lockstep, memory, python_state)
    exchange = Exchange(lockstep, directory, Path(settings["other"]))
    disagreements = Disagreements(exchange, memory, settings["fill"])
    comparison = Comparison(lockstep, side, directory, memory, teller, disagreements, stop)
    recorder = Recorder(comparison, memory, settings["fill"])
    # A loader's workers, forked from here, compute at their own pace: what they hand over is compared when it is read.
    os.register_at_fork(after_in_child=recorder.pause)
    instruments.callback(sum_up)
    instruments.callback(optimizers.register_optimizer_step_post_hook(on_step).remove)
    compiled = instruments.enter_context(around_compilers())
    instruments.enter_context(recorder)
