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

from lastbit.files import to_json, write_atomically
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.on_import import after_import

UNSEEN = "unseen.json"


@contextmanager
def record(settings: Mapping[str, Any]) -> Iterator[None]:
    """Audit this process's program from its first line to its last, as one of two runs.

    Args:
        settings: `lockstep`, the shared file; `side`, 0 or 1; `directory`, this run's; `threads` of torch, and
            `steps` after which to stop, each or null.
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

    from lastbit.script.audit.recorder import Recorder

    def note_unseen() -> None:
        """Write down what the audit could not compare."""
        write_atomically(Path(settings["directory"]) / UNSEEN, to_json(recorder.unseen).encode())

    def stop() -> None:
        """End the process at once, with its output flushed."""
        note_unseen()
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
    recorder = Recorder(lockstep, settings["side"], Path(settings["directory"]), python_state, stop)
    # A loader's workers, forked from here, compute at their own pace: what they hand over is compared when it is read.
    os.register_at_fork(after_in_child=recorder.pause)
    instruments.callback(note_unseen)
    instruments.callback(optimizers.register_optimizer_step_post_hook(on_step).remove)
    instruments.enter_context(recorder)
