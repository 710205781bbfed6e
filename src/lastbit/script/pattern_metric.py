"""Metrics that a regular expression finds in the output of a script."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.script.metrics import SIGN, WORD, CutError, number_at, parse_number, refuse_taken

_SPECIAL = frozenset(".^$*+?{}[]|()\\")
# What is escaped, a set of characters, and parentheses outside of both.
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\\\]])*\]|\((?:\?P<\w+>)?|\)", re.DOTALL)

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\].*?(?:\x07|\x1b\\))")
_NONE = r"(?i:none|null|n/a)(?!\w)"  # in the place of a number there is none
_PARTS = rf"{SIGN}\.?\d[\d.]*(?:[eE]{SIGN}?\d+)?|\.\d+|\d[\d.]*[eE]{SIGN}?\d+|\d{{1,3}}(?:,\d{{3}})+(?:\.\d*)?"
# What a group may hold too: words for a number, and numbers with parts that people forget in a pattern.
_DASHES = r"-+(?=[\s,;|)\]}]|$)"
_WORDS = rf"[ \t]*(?<!\w)(?:{SIGN}?{WORD}|{_NONE}|{_DASHES})"  # after blanks where they are as wide as numbers are
_INSTEAD = rf"{_WORDS}|(?<![\w.)\]%])(?:{_PARTS})"
_PLAIN = rf"{_WORDS}|[ \t]*(?:{_PARTS}|\d[\d.]*)"  # what else stands right after `acc=` is its number
_NAMED = re.compile(r"(?<!\\)\w[\"')\]]?(?:\\s|[=: ])+[*+?]?$")  # the end of a pattern before such a group
_ASSIGNED = re.compile(r"[=:](?:\\s|[ *+?])*$")
_NOTHING = re.compile(rf"{_NONE}|-+")
_THERE = re.compile(_INSTEAD)
_WORD = re.compile(rf"(?<!\w){SIGN}?{WORD}")
_NO_NUMBER = re.compile(rf"{SIGN}?{WORD}|{_NONE}|-+")
_SHOWN = 60  # characters of a line
STREAMS = ("stdout.txt", "stderr.txt")  # in the order in which they are searched


@dataclass(frozen=True)
class CapturedGroup:
    """A group that captures, in the text of a pattern."""

    opening: int  # of its parenthesis
    begin: int  # of what it holds
    end: int  # of that; there its closing parenthesis is

    def before(self, pattern: str) -> str:
        """The character that the pattern demands right before the group; empty where many would do."""
        last, previous = pattern[self.opening - 1 : self.opening], pattern[self.opening - 2 : self.opening - 1]
        if previous == "\\":
            return "" if last.isalnum() else last
        return "" if last in _SPECIAL else last

    def after(self, pattern: str) -> str:
        """The character that the pattern demands right after the group; empty where many would do."""
        rest = pattern[self.end + 1 : self.end + 3]
        if rest.startswith("\\"):
            return "" if rest[1:].isalnum() else rest[1:]
        return "" if rest[:1] in _SPECIAL else rest[:1]


def groups(pattern: str) -> list[CapturedGroup]:
    """The capturing groups of a regular expression that compiles, in their order; parentheses in comments mislead."""
    opened: list[tuple[int, int | None]] = []  # of each open parenthesis, where what it captures begins
    captured = []
    for token in _TOKEN.finditer(pattern):
        if token.group().startswith("("):
            captures = token.group() != "(" or not pattern.startswith("?", token.end())
            opened.append((token.start(), token.end() if captures else None))
        elif token.group() == ")" and opened:
            opening, begin = opened.pop()
            if begin is not None:
                captured.append(CapturedGroup(opening, begin, token.start()))
    return sorted(captured, key=lambda group: group.opening)


@dataclass(frozen=True)
class _Reading:
    """What was read of a match."""

    values: dict[str, float]
    cut: str | None  # where one of them stops inside a number
    missing: str | None  # what a group found that is no number


@dataclass(frozen=True)
class PatternMetric:
    """Numbers in a script's output by a regular expression: its named groups, or its only group.

    A group without a name is called as the word before it: `acc` in `acc=([0-9.]+)`.

    Raises:
        LastbitError: not a regular expression, no group, several groups without a name, or a name that is taken.
    """

    pattern: str

    def __str__(self) -> str:
        return f"--metric {self.pattern!r}"

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern)
        except re.error as error:
            raise LastbitError(f"{self} is no regular expression: {error}") from None
        if compiled.groups == 0:
            raise LastbitError(f"{self} has no group: put the number in parentheses, as in 'acc=([0-9.]+)'")
        if compiled.groups > max(1, len(compiled.groupindex)):
            raise LastbitError(f"{self} has several groups: name them, as in '(?P<acc>[0-9.]+)'")
        refuse_taken(str(self), self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups, or of the word before the only one."""
        compiled = re.compile(self.pattern)
        before = _last_word(self.pattern[: _places(compiled)[0].opening]).rstrip("./-")
        return tuple(compiled.groupindex) or (before or "metric",)

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All matches in standard output; where it has none, those in standard error, to which loggers write.

        A number is read whole where a match stops inside it, and `nan` where it stands in a number's place. What may be
        one number or two is NaN: then no earlier value may stand for it.
        """
        yield from (reading.values for reading in self._readings(output)[0] if reading.values)

    def missing(self, output: Path) -> str:
        """That nothing matches, and the last line of what the script wrote."""
        texts = ((output / name).read_text(encoding="utf-8", errors="replace") for name in STREAMS)
        written = next((text.strip() for text in texts if text.strip()), "")
        end = f"ended with {written.splitlines()[-1][:_SHOWN]!r}" if written else "is empty"
        return f"{self} matches nothing in the output, which {end}"

    def doubt(self, output: Path) -> str:
        """Where a match stops inside a number that nobody can read, or the last one has no number at all."""
        readings, rest = self._readings(output)
        if cut := next((reading.cut for reading in readings if reading.cut), None):
            return (
                f"{self} stops inside {cut!r}, so that no number was read there: let the group take all of the number,"
                " or put the character that ends it right after the group, as in '([0-9]+),'"
            )
        missing = self._unmatched(rest) or (readings[-1].missing if readings else None)
        if missing and any(reading.values for reading in readings):
            return f"{self} finds no number in {missing!r}, which comes last, and the last one that it finds counts"
        return ""

    def _readings(self, output: Path) -> tuple[list[_Reading], str]:
        """The matches, and the text after the last of them."""
        for stream in STREAMS:
            text = (output / stream).read_text(encoding="utf-8", errors="replace")
            # Colours stand between a name and its number, and after it; a pattern may be written with them too.
            plain = _COLOURS.sub("", text)
            for searched in dict.fromkeys((plain, text)):
                matches = list(self._read(searched))
                if any(reading.values for reading, _ in matches):
                    return [reading for reading, _ in matches], searched[matches[-1][1] :]
        return [], ""

    def _read(self, text: str) -> Iterator[tuple[_Reading, int]]:
        """What was read of every match, and where it ends."""
        given = re.compile(self.pattern, re.MULTILINE)
        places = dict(zip(given.groupindex or self.names, _places(given), strict=True))
        for match in (_widened(self.pattern) or given).finditer(text):
            values, cut, missing = {}, None, None
            for name, place in places.items():
                try:
                    value = self._value(_preferred(match, given, name), place, name)
                except CutError as error:
                    value, cut = nan, error.found
                if value is not None:
                    values[name] = value
                elif match.start(name if name in given.groupindex else 1) >= 0:
                    missing = match.group().strip()[:_SHOWN]
            yield _Reading(values, cut, missing), match.end()

    def _unmatched(self, rest: str) -> str | None:
        """A line that begins as the pattern does, up to its `acc=`, without what its group holds."""
        place = _places(re.compile(self.pattern))[0]
        before, through = self.pattern[: place.opening], self.pattern[: place.end + 1]
        if not (_ASSIGNED.search(before) and _last_word(before)):
            return None
        try:
            begin, complete = re.compile(before, re.MULTILINE), re.compile(through, re.MULTILINE)
        except re.error:  # the group is in another one
            return None
        last = max((match.start() for match in begin.finditer(rest)), default=None)
        if last is None or complete.match(rest, last):
            return None
        return rest[last:].partition("\n")[0].strip()[:_SHOWN]

    def _value(self, match: re.Match[str], place: CapturedGroup, name: str) -> float | None:
        start, end = match.span(name if name in match.re.groupindex else 1)
        if start < 0:
            return None
        if start == end and (there := _THERE.match(match.string, start)):  # `([0-9.]*)` finds nothing before `nan`
            end = there.end()
        if _NOTHING.fullmatch(match.string[start:end].strip()):
            return nan
        if (skipped := _skipped(match, place, self.pattern, start)) is not None:
            return skipped
        return number_at(match.string, start, end, before=place.before(self.pattern), after=place.after(self.pattern))


def _places(pattern: re.Pattern[str]) -> list[CapturedGroup]:
    """Where the groups are; the whole text for all where they are not understood, as with parentheses in comments."""
    captured = groups(pattern.pattern)
    return captured if len(captured) == pattern.groups else [CapturedGroup(0, 0, len(pattern.pattern))] * pattern.groups


def _widened(pattern: str) -> re.Pattern[str] | None:
    """The pattern with groups that hold all that may stand for a number there; None where there is no such pattern.

    What was matched before is still preferred wherever it is.
    """
    if not _last_word(pattern):  # it names nothing: all numbers would do
        return None
    text = pattern
    for group in sorted(groups(pattern), key=lambda group: -group.end):
        instead = _PLAIN if _NAMED.search(pattern[: group.opening]) else _INSTEAD
        text = f"{text[: group.begin]}(?:{text[group.begin : group.end]})|(?:{instead}){text[group.end :]}"
    try:
        return re.compile(text, re.MULTILINE)
    except re.error:  # as of a group in a lookbehind, which must have one length
        return None


def _preferred(match: re.Match[str], given: re.Pattern[str], name: str) -> re.Match[str]:
    """The match of the pattern as given, where a word that stands for no number was found later, or is no number's."""
    group = name if name in given.groupindex else 1
    word = (match[group] or "").strip()
    if not _NO_NUMBER.fullmatch(word):
        return match
    plain = given.match(match.string, match.start())
    if plain is None:
        return match
    return plain if plain.start(group) < match.start(group) or _NOTHING.fullmatch(word) else match


def _skipped(match: re.Match[str], place: CapturedGroup, pattern: str, start: int) -> float | None:
    """The NaN between the word before a group and the number it found, which the pattern passed over."""
    word = _last_word(pattern[: place.opening])
    _, found, between = match.string[match.start() : start].rpartition(word) if word else ("", "", "")
    skipped = _WORD.search(between) if found else None
    return None if skipped is None else parse_number(skipped.group())


def _last_word(pattern: str) -> str:
    words: list[str] = re.findall(r"[A-Za-z_][\w./-]*", re.sub(r"\\.|\(\?\w*[:>]?|\[[^\]]*\]", " ", pattern))
    return words[-1] if words else ""
