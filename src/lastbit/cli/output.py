"""Results for people on the terminal, or as JSON for programs."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from lastbit.cli.printable import SafeConsole
from lastbit.storage.directories import check_unkept
from lastbit.storage.files import check_output, to_json, write_output, writing


def checked_output(option: str) -> Callable[[Path | None], Path | None]:
    """A callback that sees, before anything is computed, whether the file that an option names can be written."""

    def check(path: Path | None) -> Path | None:
        """Pass the path on."""
        if path is not None:
            with writing(f"{option} {path}"):
                check_output(path)
            check_unkept(path)
        return path

    return check


def _checked_json(target: str | None) -> str | None:
    checked_output("--json")(None if target in (None, "-") else Path(str(target)))
    return target


JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", callback=_checked_json, help="Write the result as JSON; `-` for standard output."
    ),
]


_ESCAPED = re.compile(r"[^\x00-\x7f]")


def _holds_everything(stream: TextIO) -> bool:
    return (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def _escape(sign: re.Match[str]) -> str:
    """The sign as JSON may also write it; it can stand in a string only."""
    return json.dumps(sign[0])[1:-1]


def console(json_target: str | None) -> Console:
    """Where to write for people: standard output, or standard error where that belongs to the JSON."""
    return SafeConsole(stderr=json_target == "-")


def write_json(target: str | None, content: object) -> None:
    """Write JSON to a file, or to standard output for `-`; nothing for None.

    Raises:
        LastbitError: the file cannot be written.
    """
    if target is None:
        return
    # Bytes of a path that are no UTF-8 are halves of surrogate pairs in Python: they become JSON's escapes.
    text = to_json(content, indent=1).encode("utf-8", "backslashreplace").decode() + "\n"
    if target == "-":
        sys.stdout.write(text if _holds_everything(sys.stdout) else _ESCAPED.sub(_escape, text))
        return
    with writing(f"--json {target}"):
        write_output(Path(target), text.encode())
