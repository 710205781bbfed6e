"""Metrics of a script: what gives them, where they are kept, and how a number is read in a text."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lastbit.errors import LastbitError
from lastbit.storage.files import DamagedError, read_checksummed, to_json, write_checksummed

_TAKEN = frozenset({"step"})  # what a line of metrics has besides them: after how many updates it was logged

_REACH = 64  # characters looked at on each side: no number is longer
_AROUND = frozenset("0123456789eE+-.,_'\u2212")
WORD = r"(?i:nan|inf(?:inity)?)(?![\w])"
SIGN = r"[+\-\u2212]"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?:_\d{3})+(?![\d_])|\d+)"
_NUMBER = re.compile(
    rf"(?:(?<![\w.)\]%]){SIGN})?(?:(?<!\w){WORD}|(?:{_DIGITS}(?:\.\d*)?|\.\d+)(?:[eE]{SIGN}?\d+)?)", re.ASCII
)
_GOES_ON = re.compile(r"[.,_'][0-9]")
# What makes another number of the one before it: a power of ten, a fraction; and of a 0 hexadecimal digits.
_FACTOR = re.compile(r"\s?(?:\u00d7\s?10|[x*\u00b7]\s?10(?:\^|\*\*))\S*|/\d\S*|(?<![\w.]0)(?<=0)[xX][0-9a-fA-F]+")
_DECORATION = re.compile(r"[^\w]*")  # before a number in a match: quotes, brackets, a currency
_UNIT = re.compile(r"\D*")  # after it: a unit, a percent sign, the comma of a list


class MetricSource(Protocol):
    """Where the values of metrics come from, such as a pattern or a file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics it gives."""

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All values in a trial's directory of output, in order; the last one of each name counts."""

    def missing(self, output: Path) -> str:
        """What was looked for, and what that directory holds instead, in a line; of use where `find` gives nothing."""

    def doubt(self, output: Path) -> str:
        """What a person should know about how the values in that directory were read, in a line; usually empty."""


def write_found(sources: Sequence[MetricSource], output: Path) -> None:
    """Find all metrics in a trial's directory of output and leave them there as `found.json`."""
    rows = [row for source in sources for row in source.find(output)]
    # NaN, and what else JSON lacks, is compared as it is stored.
    content = json.loads(to_json({"rows": rows}))
    path = output / "found.json"
    if not path.is_file() or _stored(path) != content:
        write_checksummed(path, content)


def _stored(path: Path) -> dict[str, Any] | None:
    try:
        return read_checksummed(path)
    except DamagedError:  # it is found again
        return None


def refuse_taken(option: str, names: Sequence[str]) -> None:
    """Refuse a metric's name that means something else.

    Raises:
        LastbitError: one of the names is taken.
    """
    for name in names:
        if name in _TAKEN:
            raise LastbitError(f"{option}: a metric cannot be called {name}, as the updates so far are; name its group")


@dataclass(frozen=True)
class CutError(Exception):
    """A match stops inside something that may be a number, and it is not clear which."""

    found: str  # what stands there


def parse_number(text: str) -> float | None:
    """The one number that a text is, such as `0.5`, `93.1%`, `1,234.5` or `nan`; None where it is none."""
    try:
        return number_at(text, 0, len(text))
    except CutError:
        return None


def number_at(text: str, start: int, end: int, *, before: str = "", after: str = "") -> float | None:
    """The number of which a match covers some or all; None where what it covers is no number, or several.

    Args:
        text: in which was searched.
        start: of the match.
        end: of the match.
        before: the character that the pattern itself demands right before; there the number begins then.
        after: the character that it demands right after; there the number ends then.

    Raises:
        CutError: what goes on after the match may be another number or the rest of this one, as in `0,93`.
    """
    low = start if before and text[start - 1 : start] == before else _reach(text, start, -1)
    is_closed = bool(after) and text[end : end + 1] == after
    high = end if is_closed else _reach(text, end, 1)
    tokens = [token for token in _NUMBER.finditer(text, low, high) if token.start() < end and token.end() > start]
    if tokens and not is_closed and (factor := _FACTOR.match(text, tokens[0].end())):
        raise CutError(text[low : factor.end()])
    if len(tokens) != 1:
        return None
    token = tokens[0]
    if not _is_decoration(text[start : token.start()]) or not _UNIT.fullmatch(text[token.end() : end]):
        return None
    if _is_ambiguous(text, token, high):
        raise CutError(text[low:high])
    return _value(token.group())


def _reach(text: str, place: int, step: int) -> int:
    """How far characters of numbers go on from a place."""
    for _ in range(_REACH):
        at = place if step > 0 else place - 1
        if not 0 <= at < len(text) or text[at] not in _AROUND:
            break
        place += step
    return place


def _is_decoration(text: str) -> bool:
    return _DECORATION.fullmatch(text) is not None


def _is_ambiguous(text: str, token: re.Match[str], high: int) -> bool:
    """Whether a whole number is followed by a point, comma or the like and more digits: `0,93`, `1.2.3`, `1'234`."""
    goes_on = token.end() < high and _GOES_ON.match(text, token.end(), high)
    # After a decimal point or an exponent a comma can only begin another number.
    return bool(goes_on) and not (text[token.end()] == "," and re.search(r"[.eEn]", token.group()))


def _value(token: str) -> float:
    return float(token.replace(",", "").replace("_", "").replace("\u2212", "-"))
