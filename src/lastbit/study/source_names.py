"""The names of sources of randomness: which a study takes, and what results and sentences call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lastbit.errors import LastbitError, LastbitTypeError, did_you_mean
from lastbit.report.numbers import joined

LAST_BIT, LAST_BIT_KEY = "last-bit", "last_bit"  # varied by repeats, not by a seed; in JSON
INTERACTION, REMAINDER = "interaction", "remainder"  # parts of the variance that no source makes alone; in JSON
_LABELS = {
    "init": "initialisation",
    "order": "batch order",
    LAST_BIT_KEY: "last bit",
    INTERACTION: "interaction",
    REMAINDER: "interaction and last bit",
}
_EXAMPLE = f"such as init, order, {LAST_BIT}"


def label_of(source: str) -> str:
    """What a source is called in the middle of a sentence; one that is not known keeps its name."""
    return _LABELS.get(source, source)


def key_of(source: str) -> str:
    """A source's name as a key of JSON."""
    return source.replace("-", "_")


def checked_names(vary: Iterable[str], known: Mapping[str, str] | None) -> list[str]:
    """The names of what varies, `last-bit` among them, once they are known to be names that a study can have.

    Args:
        vary: as given.
        known: the sources of the training: empty, or why it has none. None where any name is one.

    Raises:
        LastbitError: a source that there is not, one twice, or names that results could not tell apart.
        LastbitTypeError: `vary` is no list of names.
    """
    names = _listed(vary)
    _check_names(names, known)
    _check_keys([*(name for name in names if name != LAST_BIT), *(known or {})])
    return names


def _listed(vary: Iterable[str]) -> list[str]:
    if isinstance(vary, str):
        raise LastbitTypeError(f"vary = {vary!r} is a text: give a list of names, {_EXAMPLE}")
    names = list(vary) if isinstance(vary, Iterable) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise LastbitTypeError(f"vary = {vary!r:.100}: give a list of names, {_EXAMPLE}")
    return names


def _check_keys(names: Iterable[str]) -> None:
    """Check that results can hold all sources, and sentences name them, without mistaking one for another.

    Raises:
        LastbitError: two have one key or one label, or one has that of another part of the variance.
    """
    reserved = (LAST_BIT_KEY, INTERACTION, REMAINDER)
    taken = {word: "another part of the variance" for name in reserved for word in (name, label_of(name))}
    for name in dict.fromkeys(names):
        for word in (key_of(name), label_of(name)):
            if (other := taken.setdefault(word, name)) != name:
                raise LastbitError(f"vary {name}: results call {other} {word!r} too; choose another name")


def _check_names(names: Sequence[str], known: Mapping[str, str] | None) -> None:
    if not names:
        raise LastbitError(f"vary names no source: name some, {_EXAMPLE}")
    if not all(names):
        raise LastbitError(f"vary {', '.join(names)!r}: name sources, {_EXAMPLE}")
    for name in names:
        if name != LAST_BIT and re.sub(r"[\W_]", "", name.lower()) == "lastbit":
            raise LastbitError(f"vary {name}: there is no such source, did you mean {LAST_BIT}?")
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise LastbitError(f"vary {', '.join(names)}: {twice[0]} is given twice")
    for name in names:
        if name == LAST_BIT or known is None:
            continue
        if name not in known:
            guess = did_you_mean(name, [*known, LAST_BIT], before=", ", cutoff=0.5) or ";"
            raise LastbitError(f"vary {name}: there is no such source{guess} there are {', '.join([*known, LAST_BIT])}")
        if known[name]:
            raise LastbitError(f"vary {name}: this training has none, for {known[name]}; it has {_offered(known)}")


def _offered(known: Mapping[str, str]) -> str:
    return joined([*(name for name, why in known.items() if not why), LAST_BIT])
