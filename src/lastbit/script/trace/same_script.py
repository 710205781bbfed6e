"""Which script a trace is of, told without running it: the name of its file, and a sketch of its lines.

The sketch is the smallest 64 checksums of the file's different lines (a bottom-k sketch: Broder, "On the resemblance
and containment of documents", 1997). Of two scripts it estimates the share of lines that they have in common, whatever
the files are called and on whichever machines they lie.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lastbit.errors import LastbitError
from lastbit.script.launchers import Launch
from lastbit.script.target import MODULE, Target
from lastbit.script.trace.records import TraceHeader

_KEPT = 64  # checksums of lines
_ANOTHER = 0.05  # share of lines up to which two files of other names are other scripts: imports are often the same
_LONGEST = 1 << 22  # bytes of a script whose lines are looked at


def script_of(target: Target, launch: Launch | None) -> tuple[str, list[int]]:
    """The name of a program's script without its directory, and the sketch of its lines.

    Args:
        target: the program.
        launch: of a launcher, what it starts; None for others.

    Returns:
        The name; and up to 64 checksums, none where there is no file that can be read.
    """
    script = target if launch is None else launch.target
    name = script.name.rpartition(".")[2] if script.kind == MODULE else Path(script.name).name
    try:
        path = (launch or target).path()
        content = b"" if path is None else path.read_bytes()[:_LONGEST]
    except (OSError, ValueError):
        content = b""
    return name, sketch_of_lines(content)


def sketch_of_lines(content: bytes) -> list[int]:
    """The smallest checksums of the different lines of a file, without empty ones and the space around them."""
    lines = {line.strip() for line in content.splitlines()} - {b""}
    return sorted(zlib.crc32(line) for line in lines)[:_KEPT]


def share_of_lines(one: Sequence[int], other: Sequence[int]) -> float:
    """Of the lines that either script has, estimate the share that both have: |A and B| / |A or B|."""
    smallest = sorted({*one, *other})[:_KEPT]
    return sum(line in one and line in other for line in smallest) / max(1, len(smallest))


def check_same_script(target: Target, launch: Launch | None, header: TraceHeader) -> str | None:
    """Compare a program that is about to run with the one that a trace is of.

    Args:
        target: the program.
        launch: of a launcher, what it starts.
        header: of the trace.

    Returns:
        A warning where the script has another name, and may be another one; None where it has not, or the trace says
        nothing.

    Raises:
        LastbitError: it has another name, and hardly a line in common.
    """
    name, lines = script_of(target, launch)
    recorded = header.script
    if not recorded or PurePosixPath(recorded).stem == Path(name).stem:
        return None
    if header.code and lines and share_of_lines(header.code, lines) <= _ANOTHER:
        raise LastbitError(
            f"the trace is of another script: {recorded}, which has hardly a line in common with {name}; nothing was"
            " run"
        )
    return f"the trace is of {recorded}, and this run of {name}: if that is another script, hardly anything will agree"
