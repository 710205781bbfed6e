"""Text from elsewhere on a terminal: what it shows, and nothing that moves the cursor or recolours the screen."""

import codecs
import io
import re
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# C0 but tab and line feed, DEL, C1, the controls of writing direction, and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PICTURES = 0x2400  # where Unicode has a visible sign for each of C0


def printable(text: str) -> str:
    """The text with a visible sign in place of each character that a terminal would obey or could not encode."""
    return _CONTROL.sub(lambda found: _sign(ord(found[0])), text)


def _sign(code: int) -> str:
    if code < 0x20:
        return chr(_PICTURES + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


# Plain signs for what the terminal's encoding may lack; the rest is written as `\\u03b8`. One for one, so that the
# columns of a table stay where they are.
_PLAIN = str.maketrans("–—‑−×·•…’‘“”✓✗␡\N{NO-BREAK SPACE}\N{REPLACEMENT CHARACTER}", "----x**.''\"\"+x? ?")
_HANDLER = "lastbit.plain"


def always_encodable(*streams: TextIO | None) -> None:
    """Let each stream write any text, whatever its encoding: signs that it lacks become plain ones, or escapes."""
    codecs.register_error(_HANDLER, _plain)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):  # what stands in for one has no encoding that could lack anything
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Give what stands for the signs that could not be encoded, as the handler of such errors."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(_PLAIN)
    return signs.encode("ascii", "backslashreplace").decode("ascii"), error.end


class SafeConsole(Console):
    """A console for names and texts from anywhere: no markup, and no control characters but its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the segments of whatever is printed; their control codes are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
