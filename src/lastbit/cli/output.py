"""Results for people on the terminal, or as JSON for programs."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lastbit.cli.printable import SafeConsole
from lastbit.cli.wrong_input import WrongInputError
from lastbit.files import to_json, write_atomically

JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; `-` for standard output.")
]


def console(json_target: str | None) -> Console:
    """Where to write for people: standard output, or standard error where that belongs to the JSON."""
    return SafeConsole(stderr=json_target == "-")


def write_json(target: str | None, content: object) -> None:
    """Write JSON to a file, or to standard output for `-`; nothing for None.

    Raises:
        WrongInputError: the file cannot be written.
    """
    if target is None:
        return
    # Bytes of a path that are no UTF-8 are halves of surrogate pairs in Python: they become JSON's escapes.
    text = to_json(content, indent=1).encode("utf-8", "backslashreplace").decode() + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        write_atomically(Path(target), text.encode())
    except OSError as error:
        raise WrongInputError(f"--json {target}: cannot write it: {error.strerror}") from None
