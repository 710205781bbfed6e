"""The `lastbit` command: its subcommands, and what it says of each kind of error.

A person's error is one line; a fault of lastbit's own keeps its traceback. The exit status is 2 for wrong input, 1 for
a fault and for an outcome that is not good, 130 for Ctrl-C.
"""

import errno
import os
import platform
import sys
import traceback
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Annotated

import typer

from lastbit.cli import (
    audit,
    audit_diff,
    check,
    compare,
    data,
    demo,
    doctor,
    explore,
    growth,
    paper,
    pde,
    recipe,
    remedy,
    report,
    run,
    sharpness,
    study,
    workers,
)
from lastbit.cli.options import ScriptCommand
from lastbit.cli.output import FailedError, StoppedCommandError, always_encodable, printable
from lastbit.errors import LastbitError
from lastbit.machine import installed_version

DEBUG = "LASTBIT_DEBUG"  # set to 1 in the environment: tracebacks of everything
_WRONG, _FAILED, _STOPPED = 2, FailedError.exit_code, StoppedCommandError.exit_code
# What a disk refuses while a command works; any other error of the system is ours to explain.
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)

app = typer.Typer(
    name="lastbit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How far the last bit of floating-point arithmetic carries into training a neural network.",
)
app.command("demo")(demo.demo)
app.command("study")(study.study)
app.command("sharpness")(sharpness.sharpness)
app.command("run", cls=ScriptCommand, context_settings={"allow_interspersed_args": False})(run.run)
app.command("audit", cls=audit_diff.AuditCommand)(audit.audit)
app.command("growth")(growth.growth)
app.command("remedy")(remedy.remedy)
app.command("worker")(workers.worker)
app.command("report")(report.report)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("explore")(explore.explore)
app.command("doctor")(doctor.doctor)
app.add_typer(pde.app, name="pde")
app.add_typer(paper.app, name="paper")
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"lastbit {version('lastbit')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    asked: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """How far the last bit of floating-point arithmetic carries into training a neural network."""


def run_command_line() -> int:
    """Run the command of `sys.argv`; print on standard error what went wrong, and return the exit status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 as long as the process lives
    always_encodable(sys.stdout, sys.stderr)
    try:
        code = app(standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        code, message = _ending(error)
        if message is None or os.environ.get(DEBUG, "0") not in ("", "0"):
            traceback.print_exception(error)
        return _complain(_fault() if message is None else message, code)
    # typer has its own exit status for Ctrl-C.
    return _complain("stopped", _STOPPED) if code == _STOPPED else code if isinstance(code, int) else 0


def _ending(error: BaseException) -> tuple[int, str | None]:
    """The exit status and the message; None for a fault of lastbit's own."""
    match error:
        case LastbitError():
            return _WRONG, _in_one_line(str(error))
        case typer.TyperException():
            message = error.format_message()
            return error.exit_code, _in_one_line(message) if error.exit_code == _WRONG else message
        case typer.Abort() | KeyboardInterrupt():
            return _STOPPED, "stopped"
        case MemoryError():  # asked for by a size that was given, such as --size
            return _FAILED, f"not enough memory: {str(error) or 'choose smaller sizes'}"
        case BrokenPipeError():
            # The reader of a pipe went away, as `head` does; nothing is left to say to anybody.
            sys.stderr.close()
            return 0, ""
        case OSError() if error.errno in _DISK_TROUBLE:
            return _FAILED, f"{error.filename or 'writing'}: {error.strerror}"
    return _FAILED, None


def _fault() -> str:
    versions = f"lastbit {installed_version('lastbit')}, torch {installed_version('torch')}"
    return (
        "this is a fault of lastbit's own and not of what you gave. Please report it "
        f"{_tracker()}, with the traceback above and these versions: {versions}, Python {platform.python_version()}"
    )


def _tracker() -> str:
    """Where to report, by the addresses in the installed package's metadata."""
    about = metadata("lastbit") if installed_version("lastbit") is not None else None
    urls = dict(link.split(", ", 1) for link in (about.get_all("Project-URL") or [] if about is not None else []))
    return f"at {urls['Issues']}" if "Issues" in urls else "on the project's issue tracker"


def _in_one_line(text: str) -> str:
    """An error may quote anything."""
    return " ".join(text.split("\n"))


def _complain(message: str, code: int) -> int:
    if message:  # a group of commands without a command has shown its help, and has nothing to say
        print(f"lastbit: {printable(message)}", file=sys.stderr)  # noqa: T201
    return code
