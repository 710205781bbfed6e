"""`lastbit audit`: is a training script bit-deterministic, and if not, where does it first differ?"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lastbit.cli.audit_diff import PAGE, RECORD, compared, is_diff, show_comparison
from lastbit.cli.audit_record import operations_progress
from lastbit.cli.audit_record import record as record_trace
from lastbit.cli.options import LARGEST
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free, held
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import write_output

if TYPE_CHECKING:
    from lastbit.script import Target
    from lastbit.script.audit.audit import Audit
    from lastbit.script.audit.compiled import GraphCounts
    from lastbit.script.audit.difference import Difference


def audit(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- SCRIPT ARGS", help="A file, `-m MODULE`, or a console script.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Stop after so many optimizer steps [the end].")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="N,N", help="Threads of torch in the two runs, as 1,2; one number to record [the script's choice]."
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Run the script once and record a trace there, to compare with another machine's; it holds norms and"
            " sketches of tensors, and no other values.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep output, tensors and result there, in place of an earlier audit."),
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="End with exit status 1 where the runs differ, for CI.")] = False,
    json: JsonOption = None,
) -> None:
    """Find the first operation that differs between two runs.

    The script is run twice in step, and the bits of every operation are compared. Forward, backward and optimizer are
    compared as they happen; the first difference stops both runs. They share everything but what must not matter: the
    time, the process number, the seed of Python's hashes, and what uninitialised memory holds. Exit status 0 says that
    the audit ran, whatever the result; with `--fail` it is 1 where the runs differ.

    With `--record` the script is run once, and what every operation gave is kept in a file.

    Example: `lastbit audit --steps 100 -- train.py --lr 0.1`

    Example: `lastbit audit --record A.trace --steps 20 -- train.py --lr 0.1`

    `lastbit audit diff A.trace B.trace` compares two recorded runs, of other machines, versions or settings: where
    the bits first differ, and where the runs differ by more than rounding explains.
    """
    from lastbit.script import parse_target

    if is_diff(command or []):
        if steps is not None or threads is not None or record is not None:
            raise LastbitError(
                "--steps, --threads and --record are for runs, and audit diff runs nothing: leave them out"
            )
        _check_out(out)
        comparison = compared(command or [])
        with _folder(out):
            show_comparison(comparison, ((command or [])[1], (command or [])[2]), out=out, json=json)
        if fail and not comparison.is_rounding:
            raise typer.Exit(1)
        return
    target = parse_target(command or [])
    if record is not None:
        _check_alone(out=out, fail=fail)
        record_trace(target, record, steps=steps, threads=threads, json=json)
        return
    counts = _threads(threads)
    _check_out(out)
    with _folder(out) as folder:
        result = _run(target, folder, steps, counts)
        with writing(f"--out {folder}"):
            write_output(folder / RECORD, to_json(result.as_json(), indent=1).encode())
    write_json(json, result.as_json())
    if json != "-":
        _show(target, result, console(json))
    if fail and not result.deterministic:
        raise typer.Exit(1)


def _check_alone(*, out: Path | None, fail: bool) -> None:
    given = "--out" if out is not None else "--fail" if fail else None
    if given is not None:
        raise LastbitError(
            f"{given} is for the comparison of two runs; --record runs the script once and keeps a trace"
        )


def _run(target: Target, folder: Path, steps: int | None, threads: tuple[int | None, int | None]) -> Audit:
    from lastbit.script.audit.audit import audit as audit_target
    from lastbit.script.audit.runs import ScriptFailedError

    try:
        with operations_progress(target.name, steps, "agree") as on_progress:
            return audit_target(target, folder, steps=steps, threads=threads, on_progress=on_progress)
    except ScriptFailedError as error:
        sys.stderr.write(error.output)
        raise


def _threads(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise LastbitError(f"--threads {text}: give two numbers of threads, one for each run, as in 1,2")
    return int(parts[0]), int(parts[1])


def _holds_audit(directory: Path) -> bool:
    """Whether an audit, finished or not, was kept there: a new one takes its place."""
    return Kind.AUDIT in held(directory)


def _check_out(out: Path | None) -> None:
    from lastbit.script.audit.audit import LEFT

    if out is not None:
        check_free(out, Kind.AUDIT, known=(RECORD, PAGE, *LEFT) if _holds_audit(out) else ())


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The directory for what is kept, without an earlier audit's; a temporary one where nothing is."""
    from lastbit.script.audit.audit import clear

    if out is None:
        with tempfile.TemporaryDirectory(prefix="lastbit-audit-") as folder:
            yield Path(folder)
        return
    _check_out(out)
    with writing(f"--out {out}"):
        out.mkdir(parents=True, exist_ok=True)
        if _holds_audit(out):
            for name in (RECORD, PAGE):
                (out / name).unlink(missing_ok=True)
            clear(out)
    yield out


def _show(target: Target, result: Audit, terminal: Console) -> None:
    say = terminal.print
    name, difference = " ".join(target.words), result.first_difference
    if result.deterministic:
        counted = f"{result.operations:,} tensor operations over {result.steps:,} optimizer steps"
        say(f"{name}: bit-deterministic: two runs agree in the bits of {counted}", style="bold", soft_wrap=True)
    else:
        counted = f"tensor operation {result.operations:,}, after {result.steps:,} optimizer steps"
        say(f"{name}: not bit-deterministic: two runs first differ at {counted}", style="bold", soft_wrap=True)
    if difference is not None and difference.only_filled:
        say(f"only when fresh memory is filled with different values does {difference.op} differ:", soft_wrap=True)
    if difference is not None:
        _show_rows(list(_rows(difference)), terminal)
    if result.unseen:
        names = ", ".join(f"{name} ({count:,})" for name, count in result.unseen.items())
        say(f"compared by shape alone, since their values are not plain memory: {names}", soft_wrap=True)
    if result.unobserved:
        kinds = "; ".join(f"{kind} ({count:,})" for kind, count in result.unobserved.items())
        say(f"not compared, {sum(result.unobserved.values()):,} in all: {kinds}", soft_wrap=True)
    if result.compiled.graphs:
        say(_compiled(result.compiled), soft_wrap=True)
    for note in result.notes:
        say(f"note: {note}", soft_wrap=True)


def _compiled(counts: GraphCounts) -> str:
    again = f", {counts.recompiled:,} of them recompiled" if counts.recompiled else ""
    graphs = "1 compiled graph" if counts.graphs == 1 else f"{counts.graphs:,} compiled graphs"
    return f"{graphs}{again}: compared by inputs and results in each of {counts.calls:,} calls"


def _show_rows(rows: list[tuple[str, str]], terminal: Console) -> None:
    """On a terminal with what does not fit a line below its beginning; elsewhere each row on one line."""
    if not terminal.is_terminal:
        for label, text in rows:
            terminal.print(f"  {label:<10} {text}", soft_wrap=True)
        return
    table = Table.grid(padding=(0, 1))
    for label, text in rows:
        table.add_row(f"  {label:<10}", Text(text))
    terminal.print(table)


def _rows(difference: Difference) -> Iterator[tuple[str, str]]:
    yield "operation", f"{difference.op}, {difference.phase}"
    if difference.rank is not None:
        yield "rank", f"{difference.rank} of {difference.world}"
    if difference.module is not None:
        yield "module", difference.module
    if difference.line is not None:
        asked = (
            f", differentiated at {difference.called_from}"
            if difference.called_from not in (None, difference.line)
            else ""
        )
        yield "line", difference.line + asked
    if difference.elements is not None and difference.shape is not None:
        shape = " x ".join(map(str, difference.shape)) or "scalar"
        distance = "" if difference.max_ulp is None else f", by up to {difference.max_ulp:,} ulps"
        yield "differs", f"{difference.elements:,} elements of {shape}{distance}"
    yield "kind", difference.kind
    yield "cause", difference.cause
    yield "cure", difference.cure
