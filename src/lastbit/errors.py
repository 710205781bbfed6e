"""The errors that a person made: what they gave cannot be used, and the message says what can.

Code raises one where it judges what a person gave: an argument, an option, a recipe, a file. The command line shows its
message as one line and exits with status 2. Every other exception is a fault of lastbit's own, and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class LastbitError(ValueError):
    """What a person gave cannot be used; the message says what they did, the value, and what is allowed."""


class LastbitTypeError(LastbitError, TypeError):
    """A person gave an object of the wrong kind; the message says which kinds are allowed."""


def shortened(names: Sequence[str], most: int = 12) -> str:
    """The names in a line of a message: the first of them where they are many, and how many more."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def did_you_mean(name: object, names: Iterable[str], *, before: str = "", cutoff: float = 0.6) -> str:
    """The names that are nearly this one, as a question of a message: `did you mean adam or adamw?`; "" without any.

    Args:
        name: what somebody wrote.
        names: those that there are.
        before: what leads over to the question.
        cutoff: how near they have to be, from 0 to 1.
    """
    from difflib import get_close_matches  # only here: every start of the program imports this file

    near = get_close_matches(str(name), list(names), cutoff=cutoff)
    return f"{before}did you mean {' or '.join(near)}?" if near else ""


def the_nearest(names: Sequence[str]) -> str:
    """The names that are nearest to a wrong one, at least one, as the start of a sentence."""
    return f"the nearest {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
