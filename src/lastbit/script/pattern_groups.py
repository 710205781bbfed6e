"""The groups of a regular expression as it is written: where they are, and the same expression with wider groups."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SPECIAL = frozenset(".^$*+?{}[]|()\\")


@dataclass(frozen=True)
class Group:
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


def groups(pattern: str) -> list[Group]:
    """The capturing groups of a regular expression that compiles, in their order; parentheses in comments mislead."""
    found: list[tuple[int, int | None]] = []  # of each open parenthesis, where what it captures begins
    captured = []
    for place in _parentheses(pattern):
        if pattern[place] == "(":
            found.append((place, _begin(pattern, place)))
        elif found:
            opening, begin = found.pop()
            if begin is not None:
                captured.append(Group(opening, begin, place))
    return sorted(captured, key=lambda group: group.opening)


def widened(pattern: str, alternative: Callable[[Group], str]) -> re.Pattern[str] | None:
    """The pattern with `alternative` beside what each group holds; None where that is no pattern.

    What was matched before is still preferred wherever it is.
    """
    text = pattern
    for group in sorted(groups(pattern), key=lambda group: -group.end):
        inner = text[group.begin : group.end]
        text = f"{text[: group.begin]}(?:{inner})|(?:{alternative(group)}){text[group.end :]}"
    try:
        return re.compile(text, re.MULTILINE)
    except re.error:  # as of a group in a lookbehind, which must have one length
        return None


def _parentheses(pattern: str) -> Iterator[int]:
    """Where parentheses are that are neither escaped nor in a set of characters."""
    place, in_set = 0, False
    while place < len(pattern):
        letter = pattern[place]
        if letter == "\\":
            place += 1
        elif in_set:
            in_set = letter != "]"
        elif letter == "[":
            in_set = True
            place += len(re.match(r"\^?\]?", pattern[place + 1 :]).group())  # type: ignore[union-attr]
        elif letter in "()":
            yield place
        place += 1


def _begin(pattern: str, opening: int) -> int | None:
    named = re.compile(r"\(\?P<\w+>").match(pattern, opening)
    if named is not None:
        return named.end()
    return None if pattern.startswith("(?", opening) else opening + 1
