"""Records the runs of `rounding_or_bug.py`: here, or in processes with an environment or a rank of their own."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import distributed
from torch.optim import optimizer as optimizers

from lastbit.execution.numerics import fingerprint
from lastbit.script.audit.compiled import around_compilers
from lastbit.script.audit.generators import generators
from lastbit.script.trace.noisy import NoisyTraceMode
from lastbit.script.trace.origins import settings_of
from lastbit.script.trace.ranks import rank_path
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recorder import TraceMode
from lastbit.script.trace.records import FORMAT, SETTINGS, RunTrace, TraceHeader
from lastbit.script.trace.writer import TraceWriter


class Trained(Protocol):
    """What is trained, and how: of either set of changes."""

    @property
    def processes(self) -> int:
        """That divide each batch."""

    @property
    def compiled(self) -> str:
        """The backend of what is compiled."""

    def train(self, steps: int) -> object:
        """Train for some optimizer steps."""


_MOST_WAITED = 300.0  # seconds for a process


def record(
    settings: Trained, steps: int, *, noise: int | None = None, environment: Mapping[str, str] | None = None
) -> list[RunTrace]:
    """Train with these settings and record each process.

    Args:
        settings: of the run.
        steps: of the optimizer.
        noise: seed of noise in every operation; None for none.
        environment: variables for a process of its own.

    Raises:
        RuntimeError: a process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        if settings.processes == 1 and not environment:
            _record_here(settings, steps, noise, path, rank=0)
        else:
            _record_elsewhere(settings, steps, noise, path, environment or {})
        return [read_trace(rank_path(path, rank)) for rank in range(settings.processes)]


def _record_elsewhere(
    settings: Trained, steps: int, noise: int | None, path: Path, environment: Mapping[str, str]
) -> None:
    context = multiprocessing.get_context("spawn")
    with _variables(environment):
        processes = [
            context.Process(target=_record_rank, args=(settings, steps, noise, path, rank))
            for rank in range(settings.processes)
        ]
        for process in processes:
            process.start()
    for process in processes:
        process.join(_MOST_WAITED)
        if process.exitcode is None:
            process.kill()
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"processes ended with {[process.exitcode for process in processes]}")


def _record_rank(settings: Trained, steps: int, noise: int | None, path: Path, rank: int) -> None:
    torch.set_num_threads(1)
    if settings.processes == 1:
        return _record_here(settings, steps, noise, path, rank=rank)
    store = distributed.FileStore(str(path.with_name("store")), settings.processes)
    wait = timedelta(seconds=_MOST_WAITED)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=settings.processes, timeout=wait)
    try:
        _record_here(settings, steps, noise, path, rank=rank)
    finally:
        distributed.destroy_process_group()


def _record_here(settings: Trained, steps: int, noise: int | None, path: Path, *, rank: int) -> None:
    header = TraceHeader(FORMAT, ("train.py",), fingerprint("cpu"), {}, {}, rank, settings.processes, steps, "")
    writer = TraceWriter(rank_path(path, rank), header)
    writer.state(0, generators())
    mode = TraceMode(writer) if noise is None else NoisyTraceMode(writer, seed=noise)

    def begun(optimizer: Any, *_: Any) -> None:
        """Note what is updated, and how."""
        mode.names.begin_update(optimizer, sys._getframe(1))
        writer.event(SETTINGS, step=mode.step, content=settings_of(optimizer))

    def stepped(*_: Any) -> None:
        """Count a step."""
        mode.names.end_update()
        mode.step += 1
        writer.state(mode.step, generators())

    with ExitStack() as stack:
        stack.callback(optimizers.register_optimizer_step_pre_hook(begun).remove)
        stack.callback(optimizers.register_optimizer_step_post_hook(stepped).remove)
        if settings.compiled:
            stack.callback(torch._dynamo.reset)
        stack.enter_context(around_compilers(mode, mode.unobserved))
        stack.enter_context(mode)
        settings.train(steps)
    if mode.unobserved:
        raise RuntimeError(f"not recorded: {dict(mode.unobserved)}")
    writer.end({})


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """With these variables in the environment of processes that are started."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
