"""`lastbit audit --record`: a trace of one run, to be compared with another's, also on another machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.cli.output import SafeConsole, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.files import writing

if TYPE_CHECKING:
    from lastbit.script import Target
    from lastbit.script.trace.places import RoundingEnvelope
    from lastbit.script.trace.recording import RecordedTrace


def record(
    target: Target, path: Path, *, steps: int | None, threads: str | None, rounding: bool, json: str | None
) -> None:
    """Record a trace and say what is in it.

    Args:
        target: the program.
        path: of the trace.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: as `--threads` was given.
        rounding: whether to measure what rounding explains, and keep it beside the trace.
        json: as `--json` was given.

    Raises:
        LastbitError: the trace cannot be made, or the program failed.
    """
    from lastbit.script.trace.rounding import check_free_envelope, envelope_path, keep_envelopes

    count = number_of_threads(threads)
    if rounding:
        check_free_envelope(path)
    trace = recorded(target, path, steps=steps, threads=count)
    if rounding:
        envelopes = measured(target, path, steps=steps, threads=count)
        with writing(f"--rounding beside {path}"):
            keep_envelopes(path, envelopes)
    write_json(json, trace.as_json())
    if json != "-":
        console(json).print(_summary(target, trace), soft_wrap=True)
        if rounding:
            console(json).print(_rounding_summary(envelopes, envelope_path(path)), soft_wrap=True)


def recorded(
    target: Target, path: Path, *, steps: int | None, threads: int | None, temporary: bool = False
) -> RecordedTrace:
    """Record a trace with a line of progress; the arguments and errors of `record_trace`."""
    from lastbit.script.trace.recording import record_trace

    with operations_progress(target.name, steps, "recorded") as on_progress:
        return record_trace(target, path, steps=steps, threads=threads, temporary=temporary, on_progress=on_progress)


def measured(target: Target, path: Path, *, steps: int | None, threads: int | None) -> list[RoundingEnvelope]:
    """Measure what rounding explains of a trace, with a line of progress.

    Args:
        target: the program.
        path: of the trace.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch; None for the program's own choice.

    Returns:
        What rounding explains, for each rank.

    Raises:
        LastbitError: a run with noise failed.
    """
    from lastbit.script.audit.runs import ScriptFailedError
    from lastbit.script.trace.rounding import measure_rounding

    try:
        with operations_progress(f"{target.name} with noise in every operation", steps, "recorded") as show:
            return measure_rounding(
                target, path, steps=steps, threads=threads, on_progress=lambda run, done, stepped: show(done, stepped)
            )
    except ScriptFailedError as error:
        raise LastbitError(
            f"{error}, with noise in the last bits of its operations: what rounding explains is not known"
        ) from None


def _rounding_summary(envelopes: Sequence[RoundingEnvelope], path: Path) -> str:
    last = min((e.saturated_at for e in envelopes if e.saturated_at is not None), default=None)
    far = "" if last is None else f"; from step {last:,} on rounding alone explains any distance of the weights"
    return f"what rounding explains is in {path}{far}"


def number_of_threads(text: str | None) -> int | None:
    """The threads of a single run, as `--threads` gives them; None where it is not given.

    Raises:
        LastbitError: it is no single number.
    """
    if text is None:
        return None
    if not text.strip().isdecimal() or int(text) == 0:
        raise LastbitError(
            f"--threads {text}: a trace is of one run: with --record and --against give one number, as in 1"
        )
    return int(text)


def _summary(target: Target, trace: RecordedTrace) -> str:
    from lastbit.script.trace.ranks import rank_path

    counted = f"{trace.operations:,} tensor operations over {trace.steps:,} optimizer steps"
    size = f"{trace.bytes / 1e6:,.1f} MB" if trace.bytes >= 1e5 else f"{trace.bytes / 1e3:,.1f} kB"
    each = f"{trace.bytes / trace.operations:.0f} bytes an operation"
    last = rank_path(trace.path, trace.ranks - 1)
    files = f"{trace.path}{'' if trace.ranks == 1 else f' to {last}' if trace.ranks > 2 else f' and {last}'}"
    more = f"; {trace.left_out} more processes trained that are no ranks of one group: they are not in it"
    left_out = more if trace.left_out else ""
    return (
        f"{' '.join(target.words)}: recorded {counted} in {files}: {size}, {each}, no values beyond sketches{left_out}"
    )


@contextmanager
def operations_progress(title: str, steps: int | None, done: str) -> Iterator[Callable[[int, int], None]]:
    """Show operations and steps on standard error, on a terminal, while the block runs.

    Where the block ends by a ScriptFailedError, all that the program printed follows.

    Args:
        title: what runs.
        steps: optimizer steps after which it stops, if it was told.
        done: what is true of the operations so far: `agree`, `recorded`.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from lastbit.script.audit.runs import ScriptFailedError

    terminal = SafeConsole(stderr=True)
    columns: tuple[Any, ...] = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    progress = Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=True)
    task = progress.add_task(title)
    limit = "" if steps is None else f" of {steps:,}"

    def show(operations: int, stepped: int) -> None:
        """Say how far the run is."""
        description = f"{title}: {operations:,} operations {done}, {stepped:,}{limit} optimizer steps"
        progress.update(task, description=description)

    try:
        with progress:
            yield show
    except ScriptFailedError as error:
        sys.stderr.write(error.output)
        raise
