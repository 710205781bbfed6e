"""The `lastbit` command: its subcommands, and how they end."""

import errno
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from lastbit.cli import (
    audit,
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
    report,
    run,
    sharpness,
    study,
    worker,
)
from lastbit.cli.printable import printable
from lastbit.cli.wrong_input import FailedError, StoppedCommandError, WrongInputError

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
app.command("run", context_settings={"allow_interspersed_args": False})(run.run)
app.command("audit")(audit.audit)
app.command("growth")(growth.growth)
app.command("worker")(worker.worker)
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


_INTERRUPTED = StoppedCommandError.exit_code
# What a disk or its owner refuses; any other error of the system is ours to explain.
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


def main() -> None:
    """Run the command line: exit 0 on success, 2 on wrong input with one line that says what it is, 130 on Ctrl-C."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        sys.exit(_complain(error.format_message(), error.exit_code))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_complain("stopped", _INTERRUPTED))
    except MemoryError as error:  # asked for by a size that was given, such as --size
        sys.exit(_complain(f"not enough memory: {error or 'choose smaller sizes'}", FailedError.exit_code))
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing is left to say to anybody.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        sys.exit(_complain(f"{error.filename or 'writing'}: {error.strerror}", 1))
    if code == _INTERRUPTED:  # typer has caught Ctrl-C
        sys.exit(_complain("stopped", _INTERRUPTED))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    """Say it in one line for wrong input, which may quote anything."""
    said = " ".join(message.split("\n")) if code == WrongInputError.exit_code else message
    print(f"lastbit: {printable(said)}", file=sys.stderr)  # noqa: T201
    return code
