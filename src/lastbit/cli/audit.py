"""`lastbit audit`: is a training script bit-deterministic, and if not, where does it first differ?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastbit.cli.audit_diff import PAGE, RECORD, compared, compared_with, is_diff, show_comparison
from lastbit.cli.audit_record import number_of_threads, operations_progress
from lastbit.cli.audit_record import record as record_trace
from lastbit.cli.audit_result import show_audit
from lastbit.cli.options import LARGEST
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free, held
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import check_output, write_output

if TYPE_CHECKING:
    from lastbit.script import Target
    from lastbit.script.trace.finding import TraceComparison


CommandArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- SCRIPT ARGS", help="A file, `-m MODULE`, a console script, or `torchrun` and a script."),
]
StepsOption = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Stop after so many optimizer steps [the end].")
]
ThreadsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N,N", help="Threads of torch in the two runs, as 1,2; one number to record [the script's choice]."
    ),
]
RecordOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Run the script once and record a trace there, to compare with another machine's; it holds norms and"
        " sketches of tensors, and no other values.",
    ),
]
RoundingOption = Annotated[
    bool,
    typer.Option(
        "--rounding",
        help="With --record: run it twice more with noise in the last bits of every operation, and keep beside the"
        " trace what rounding explains.",
    ),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Run the script, and compare it with this trace as `audit diff` does."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep output, tensors and result there, in place of an earlier audit."),
]
FailOption = Annotated[
    bool,
    typer.Option(
        "--fail",
        help="For CI: end with exit status 1 where the runs differ; of traces, where they are not shown to be the same"
        " computation, or one is cut short.",
    ),
]


def audit(
    command: CommandArgument = None,
    steps: StepsOption = None,
    threads: ThreadsOption = None,
    record: RecordOption = None,
    rounding: RoundingOption = False,
    against: AgainstOption = None,
    out: OutOption = None,
    fail: FailOption = False,
    json: JsonOption = None,
) -> None:
    """Find the first operation that differs between two runs.

    The script is run twice in step, and the bits of every operation are compared. Forward, backward and optimizer are
    compared as they happen; the first difference stops both runs. They share everything but what must not matter: the
    time, the process number, the seed of Python's hashes, and what uninitialised memory holds. Exit status 0 says that
    the audit ran, whatever the result; with `--fail` it is 1 where the runs differ.

    With `--record` the script is run once, and what every operation gave is kept in a file. With `--against` it is run
    and compared with such a file, of another machine, version or setting; where no one measured what rounding explains
    (`--record` with `--rounding`), it is run twice more for that.

    Example: `lastbit audit --steps 100 -- train.py --lr 0.1`

    Example: `lastbit audit --record A.trace --steps 20 -- train.py --lr 0.1`

    Example: `lastbit audit --against A.trace -- train.py --lr 0.1`

    `lastbit audit diff A.trace B.trace` compares two recorded runs, of other machines, versions or settings: where
    the bits first differ, and where the runs differ by more than rounding explains.
    """
    from lastbit.script import parse_target
    from lastbit.script.launchers import check_launched

    words = command or []
    if is_diff(words):
        if steps is not None or threads is not None or record is not None or against is not None or rounding:
            raise LastbitError(
                "--steps, --threads, --record, --rounding and --against are for runs, and audit diff runs nothing: "
                "leave them out"
            )
        _check_out(out)
        _show_comparison(compared(words), (words[1], words[2]), out=out, fail=fail, json=json)
        return
    target = parse_target(words)
    check_launched(target)
    if rounding and record is None:
        raise LastbitError("--rounding is for --record: it keeps beside the trace what rounding explains")
    if record is not None:
        _check_alone(out=out, fail=fail, against=against)
        record_trace(target, record, steps=steps, threads=threads, rounding=rounding, json=json)
    elif against is not None:
        _check_out(out)
        comparison = compared_with(target, against, steps=steps, threads=number_of_threads(threads))
        _show_comparison(comparison, (str(against), "this run"), out=out, fail=fail, json=json)
    else:
        _run_in_step(target, steps=steps, threads=_threads(threads), out=out, fail=fail, json=json)


def _run_in_step(
    target: Target,
    *,
    steps: int | None,
    threads: tuple[int | None, int | None],
    out: Path | None,
    fail: bool,
    json: str | None,
) -> None:
    """Audit a program by two runs in step, keep the result and show it."""
    from lastbit.script.audit.audit import audit as audit_target

    with _folder(out) as folder:
        with operations_progress(target.name, steps, "agree") as on_progress:
            result = audit_target(target, folder, steps=steps, threads=threads, on_progress=on_progress)
        with writing(f"--out {folder}"):
            write_output(folder / RECORD, to_json(result.as_json(), indent=1).encode())
    write_json(json, result.as_json())
    if json != "-":
        show_audit(target, result, console(json))
    if fail and not result.deterministic:
        raise typer.Exit(1)


def _show_comparison(
    comparison: TraceComparison, names: tuple[str, str], *, out: Path | None, fail: bool, json: str | None
) -> None:
    with _folder(out):
        show_comparison(comparison, names, out=out, json=json)
    if fail and not (comparison.is_rounding and comparison.complete):
        raise typer.Exit(1)


def _check_alone(*, out: Path | None, fail: bool, against: Path | None) -> None:
    if against is not None:
        raise LastbitError("--record and --against: give one of them; a recorded trace is compared by `audit diff`")
    given = "--out" if out is not None else "--fail" if fail else None
    if given is not None:
        raise LastbitError(
            f"{given} is for the comparison of two runs; --record runs the script once and keeps a trace"
        )


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
    if out is not None:
        from lastbit.script.audit.audit import LEFT  # which imports torch

        check_free(out, Kind.AUDIT, known=(RECORD, PAGE, *LEFT) if _holds_audit(out) else ())
        with writing(f"--out {out}"):
            check_output(out / RECORD)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The directory for what is kept, without an earlier audit's; a temporary one where nothing is."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="lastbit-audit-") as folder:
            yield Path(folder)
        return
    from lastbit.script.audit.audit import clear

    _check_out(out)
    with writing(f"--out {out}"):
        out.mkdir(parents=True, exist_ok=True)
        if _holds_audit(out):
            for name in (RECORD, PAGE):
                (out / name).unlink(missing_ok=True)
            clear(out)
    yield out
