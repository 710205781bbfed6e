"""What commands write: text for people, JSON for programs; and the endings that are not success.

Text from elsewhere is shown as it is, except for what would move a terminal's cursor or recolour its screen.
"""

import codecs
import io
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lastbit.storage.directories import check_unkept
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import check_output, write_output


class FailedError(typer.TyperException):
    """Ends the command with a message on standard error and exit status 1: the input was right, the outcome is bad."""

    exit_code = 1


class StoppedCommandError(typer.TyperException):
    """Ends the command with a message on standard error and 130, the exit status that shells give after Ctrl-C."""

    exit_code = 130


# C0 but tab and line feed, DEL, C1, the controls of writing direction, and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PICTURES = 0x2400  # where Unicode has a visible sign for each of C0


def printable(text: str) -> str:
    """The text with a visible character in place of each that a terminal would obey or could not encode."""
    return _CONTROL.sub(lambda found: _sign(ord(found[0])), text)


def _sign(code: int) -> str:
    if code < 0x20:
        return chr(_PICTURES + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


# Plain characters for what the terminal's encoding may lack; the rest is written as `\\u03b8`. One for one, so that the
# columns of a table keep their width.
_PLAIN = str.maketrans("–—‑−×·•…’‘“”✓✗␡\N{NO-BREAK SPACE}\N{REPLACEMENT CHARACTER}", "----x**.''\"\"+x? ?")
_HANDLER = "lastbit.plain"


def always_encodable(*streams: TextIO | None) -> None:
    """Let each stream write any text: characters that its encoding lacks become plain ones, or escapes."""
    codecs.register_error(_HANDLER, _plain)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):  # a stand-in, as in tests, has no encoding that could lack anything
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement of characters that could not be encoded, as codecs ask their error handlers to."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(_PLAIN)
    return signs.encode("ascii", "backslashreplace").decode("ascii"), error.end


class SafeConsole(Console):
    """A console for names and texts from anywhere: no markup, and no control characters but its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is printed; the only control codes are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def checked_output(option: str) -> Callable[[Path | None], Path | None]:
    """A callback that checks, before anything is computed, whether the file that an option names can be written."""

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
    """The character as a JSON escape; outside of strings JSON has none that needs one."""
    return json.dumps(sign[0])[1:-1]


def console(json_target: str | None) -> Console:
    """The console for people: standard output, or standard error where standard output carries the JSON."""
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
