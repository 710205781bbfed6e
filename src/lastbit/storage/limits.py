"""Reading what others wrote: sizes and depths are checked before anything is made of it.

Stored results may come from anywhere. Nothing of them is executed, and what is too large is refused in one line before
it exhausts the memory.
"""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError

_MIB = 2**20
MOST_RECIPE = _MIB  # bytes; the built-in ones have 1,000
MOST_JSON = 128 * _MIB  # results of 1,000 trials with 100 snapshots of 200 layers have 10; parsed, ten times as much
MOST_TENSORS = 4096 * _MIB  # weights of a billion parameters
MOST_LINES = 2_000_000  # of metrics, of one trial
MOST_DEPTH = 64  # of JSON and TOML; ours nest 8 deep. Python itself fails near 1,000, less in functions that recurse
MOST_DIGITS = 300  # of a whole number: one of more is infinite as a floating-point number
# What code raises that meets content of another shape than it was written for, which no checksum or limit refused.
OTHER_SHAPE = (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def reachable(path: Path) -> Path:
    """A path that the system takes for one, whether or not anything is there.

    Raises:
        LastbitError: it is too long, leads in a circle of links, or past a directory that may not be looked into.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path  # the caller reports what is missing
    except ValueError:  # it holds a NUL, which only is_file and the like put up with
        return path
    except OSError as error:
        raise LastbitError(f"{path} cannot be read: {error.strerror}") from None
    return path


def read_limited(path: Path, most: int) -> bytes:
    """The bytes of an ordinary file of at most so many.

    Raises:
        LastbitError: it is larger, a pipe or a device, or cannot be read.
    """
    try:
        # Asked before it is opened: a pipe would block, and a device may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise LastbitError(f"{path} cannot be read: it is no ordinary file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            # Memory is taken for all that is asked for; what the system makes up when read, as in /proc, has size 0.
            content = file.read(min(most, max(size, _MIB)) + 1) if size <= most else b""
    except OSError as error:
        raise LastbitError(f"{path} cannot be read: {error.strerror}") from None
    if max(size, len(content)) > most:
        raise LastbitError(f"{path} has {_size(max(size, len(content)))}, and at most {_size(most)} are read")
    return content


def parse_json(content: bytes, where: object) -> Any:
    """Parse JSON that may be hostile; NaN and infinity become None, as we write them.

    Args:
        content: UTF-8.
        where: its file, for the message.

    Raises:
        LastbitError: it is no JSON, nests too deep, or holds half a surrogate pair or a number of too many digits.
    """
    try:
        text = content.decode("utf-8")
        parsed = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=lambda name: None)
        if _SURROGATE.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise LastbitError(_too_deep(where)) from None
    except ValueError as error:
        raise LastbitError(f"{where} is not valid JSON ({_reason(error)}): it was altered or cut short") from None
    check_depth(parsed, where)
    return parsed


def check_depth(value: object, where: object) -> None:
    """Check that nothing nests deeper than is read.

    Raises:
        LastbitError: it does.
    """
    level, depth = [value], 0
    while level := [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]:
        depth += 1
        if depth >= MOST_DEPTH:
            raise LastbitError(_too_deep(where))


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise LastbitError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) < float("inf") else None


def _reason(error: ValueError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "half a surrogate pair"
    return str(error)


def _too_deep(where: object) -> str:
    return f"{where} nests deeper than {MOST_DEPTH} levels, the most that are read"


def _size(size: int) -> str:
    return f"{size:,} bytes" if size < 10 * _MIB else f"{size // _MIB:,} MiB"
