"""What `lastbit audit --record` puts into the process that it records."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.machine import installed_version
from lastbit.script.audit.generators import generators
from lastbit.script.audit.ranks import pause_loaders_workers
from lastbit.script.hooks import after_import, at_every_end, in_trained_forks
from lastbit.script.joining import placed
from lastbit.script.trace.counts import RecordingCounts
from lastbit.script.trace.records import FORMAT, NUMERICS, RANK, SETTINGS, TraceHeader

if TYPE_CHECKING:
    from lastbit.execution.numerics import Fingerprint

_FLUSH = 1.0  # seconds, the most that a killed recording loses
# What may change what a program computes, beside what `numerics` lists.
_PACKAGES = (
    *("torch", "numpy", "scipy", "torchvision", "torchaudio", "triton", "transformers", "accelerate", "datasets"),
    *("tokenizers", "peft", "diffusers", "timm", "lightning", "pytorch-lightning", "deepspeed", "flash-attn"),
    "xformers",
)
_VARIABLES = (
    *("PYTHONHASHSEED", "CUDA_*", "PYTORCH_*", "TORCH_*", "NCCL_*", "GLOO_*", "ACCELERATE_*", "DEEPSPEED_*"),
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TF_*", "HF_*OFFLINE", "TRANSFORMERS_*"),
)


@contextmanager
def record(
    settings: Mapping[str, Any],
    before_exit: Callable[[], None] = lambda: None,
    *,
    on_rank: Callable[[int, int], None] = lambda rank, world: None,
    in_fork: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Record this process's program from its first line to its last.

    Args:
        settings: `trace`, the file to make; `counts`, the shared file; `command`, words of the program; `script` and
            `code` of its file, as `script_of` gives them; `recording`, an identity; `threads` of torch, `steps` after
            which to stop, and the seed of the `noise` in every operation's result, each or null; `rank` and `world`,
            where they are not those of the environment; `named`, of a process that a script has started, the file of
            rank 0.
        before_exit: called when the trace is whole and the process is to stop after the last step wanted.
        on_rank: called with rank and number of ranks once the process communicates with others, where that is not known
            from `settings`.
        in_fork: called in each process of multiprocessing that is forked from this one and may train, once this
            recording has let go of it; None where none is to be recorded.
    """
    recording = Recording(settings, before_exit, on_rank, in_fork)
    at_every_end(recording.end, lambda words: None)
    with ExitStack() as instruments:
        # Not before the program does: what it sets in the environment for torch must still count.
        after_import("torch", lambda: recording.install(instruments))
        try:
            yield
        except SystemExit as end:
            recording.failed = end.code not in (None, 0)
            raise
        except BaseException:
            recording.failed = True
            raise


class Recording:
    """A program that is recorded, seen from inside its process.

    Args:
        settings: of `record`.
        before_exit: of `record`.
        on_rank: of `record`.
        in_fork: of `record`.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        before_exit: Callable[[], None],
        on_rank: Callable[[int, int], None],
        in_fork: Callable[[], None] | None,
    ) -> None:
        self._settings, self._counts = settings, RecordingCounts(Path(settings["counts"]))
        self._before_exit, self._on_rank, self._in_fork = before_exit, on_rank, in_fork
        self._placed = "rank" in settings
        self._mode: Any = None
        self._optimizers: dict[int, dict[str, Any]] = {}  # settings last noted, by the optimizer's id
        self.failed = False  # whether the program ended by an error

    def install(self, instruments: ExitStack) -> None:
        """Record every operation from now on until the stack is closed; torch has been imported."""
        import torch
        from torch.optim import optimizer as optimizers

        from lastbit.script.audit.compiled import around_compilers
        from lastbit.script.audit.loaders import around_loaders
        from lastbit.script.trace.recorder import TraceMode
        from lastbit.script.trace.writer import TraceWriter

        if self._settings["threads"] is not None:
            torch.set_num_threads(self._settings["threads"])
        self._numerics = _numerics()
        self._flushed = time.monotonic()
        self._writer = TraceWriter(Path(self._settings["trace"]), self._header())
        self._writer.state(0, generators())
        if self._settings["noise"] is None:
            self._mode = TraceMode(self._writer, self._recorded)
        else:
            from lastbit.script.trace.noisy import NoisyTraceMode

            self._mode = NoisyTraceMode(self._writer, self._recorded, seed=self._settings["noise"])
        os.register_at_fork(after_in_child=self._mode.pause)
        if "named" in self._settings:
            pause_loaders_workers(self._mode.pause)
        if self._in_fork is not None:
            in_trained_forks(self, lambda _: self._let_go(instruments))
        instruments.callback(optimizers.register_optimizer_step_pre_hook(self._begun).remove)
        instruments.callback(optimizers.register_optimizer_step_post_hook(self._stepped).remove)
        instruments.enter_context(around_compilers(self._mode, self._mode.unobserved))
        instruments.enter_context(around_loaders(self._mode, self._mode.unobserved))
        instruments.enter_context(self._mode.watching())

    def _let_go(self, instruments: ExitStack) -> None:
        """In a process forked from this one, undo what sees operations, and let the process be recorded anew."""
        from torch.utils._python_dispatch import _get_current_dispatch_mode

        if self._in_fork is not None and _get_current_dispatch_mode() is self._mode:
            instruments.close()
            self._in_fork()

    def _header(self) -> TraceHeader:
        settings = self._settings
        chosen = (name for name in os.environ if any(fnmatchcase(name, pattern) for pattern in _VARIABLES))
        return TraceHeader(
            format=FORMAT,
            command=tuple(settings["command"]),
            numerics=self._numerics,
            packages={name: found for name in _PACKAGES if (found := installed_version(name)) is not None},
            environment={name: os.environ[name] for name in sorted(chosen)},
            rank=settings.get("rank", _whole("RANK", 0)),
            world_size=settings.get("world", _whole("WORLD_SIZE", 1)),
            steps=settings["steps"],
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            recording=settings["recording"],
            script=settings["script"],
            code=tuple(settings["code"]),
        )

    def _recorded(self) -> None:
        """Note that an operation was recorded."""
        self._counts.note(operations=self._writer.records, steps=self._mode.step)
        if self._mode.communicated and not self._placed:
            self._note_rank()
        now = time.monotonic()
        if now - self._flushed > _FLUSH:
            self._flushed = now
            self._writer.flush()

    def _note_rank(self) -> None:
        """Note which rank this process turned out to be."""
        self._placed = True
        place = placed()
        if place.get("world", 1) > 1 and place["rank"] is not None:
            content = {"rank": place["rank"], "world": place["world"]}
            self._writer.event(RANK, step=self._mode.step, content=content)
            self._writer.flush()
            self._on_rank(place["rank"], place["world"])

    def _begun(self, optimizer: Any, *_: Any) -> None:
        """Note what an optimizer step works on."""
        from lastbit.script.trace.origins import settings_of

        self._mode.names.begin_update(optimizer, sys._getframe(1))
        settings = settings_of(optimizer)
        if self._optimizers.get(id(optimizer)) != settings:
            self._optimizers[id(optimizer)] = settings
            number = list(self._optimizers).index(id(optimizer))  # in the order of their first steps
            self._writer.event(SETTINGS, step=self._mode.step, content={**settings, "number": number})

    def _stepped(self, optimizer: Any, *_: Any) -> None:
        """Count an optimizer step, of the outermost optimizer alone, and stop at the last one wanted."""
        from lastbit.script.trace.origins import steps_inside_another

        mode = self._mode
        if steps_inside_another(sys._getframe(1)):
            return
        mode.names.end_update()
        mode.step += 1
        self._writer.state(mode.step, generators())
        if mode.step == 1:
            self._note_numerics()
        self._counts.note(operations=self._writer.records, steps=mode.step)
        if mode.step == self._settings["steps"]:
            self.end()
            sys.stdout.flush()
            sys.stderr.flush()
            self._before_exit()
            # At once: the program must not go on, nor catch this, nor write a checkpoint on its way out.
            os._exit(0)

    def _note_numerics(self) -> None:
        """Note the numerics where they have changed: a program sets threads and precision after its imports."""
        numerics = _numerics()
        if numerics != self._numerics:
            self._numerics = numerics
            self._writer.event(NUMERICS, step=self._mode.step, content=numerics)

    def end(self) -> None:
        """Write what is left, and whether the program came to its end."""
        mode = self._mode
        if mode is None or mode.paused:  # without torch, or in a process forked from the recorded one
            return
        mode.pause()
        try:
            if mode.broken is not None:
                raise mode.broken
            self._note_numerics()
            # A rank joins while it runs, so its error is seen by what Python leaves of it.
            if self.failed or getattr(sys, "last_value", None) is not None:
                self._writer.flush()
            else:
                self._writer.end(mode.unobserved)
        except OSError as error:
            self._counts.fail(error)
        self._counts.end()


def _numerics() -> Fingerprint:
    import torch

    from lastbit.execution.numerics import fingerprint

    # A device that the program has not touched is none of its numerics, and asking would start it.
    return fingerprint("cuda" if torch.cuda.is_initialized() else "cpu")  # type: ignore[no-untyped-call]


def _whole(name: str, default: int) -> int:
    """A variable of the environment that a launcher sets."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
