"""Names of what a walk visits, for messages, and whose code a thing belongs to."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from functools import cache

_PLAIN_KEYS = (str, int, float, bool, type(None))
_SHOWN = 8  # parts of a path that a message names, beside its start

# Methods that make, show, copy or compare an object: evaluating something else does not call them.
ASIDE = frozenset(
    {
        *("__init__", "__new__", "__post_init__", "__init_subclass__", "__del__", "__repr__", "__str__"),
        *("__eq__", "__hash__", "__copy__", "__deepcopy__"),
        *("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__"),
    }
)
_ANY_NAME = frozenset(("__dict__", "vars", "setattr"))


class Name:
    """The path from a root to a thing, written out only where a message names it.

    Args:
        label: the last part of the name.
        parent: the path to the thing that holds this one.
        entire: whether all attributes of objects count, not only those that code names; None takes the parent's.
    """

    __slots__ = ("_label", "_parent", "entire")

    def __init__(self, label: str, parent: Name | None = None, *, entire: bool | None = None) -> None:
        self._label, self._parent = label, parent
        self.entire: bool = (parent is not None and parent.entire) if entire is None else entire

    def __str__(self) -> str:
        labels = [name._label for name in self._back()]
        if len(labels) > _SHOWN + 1:
            labels = [*labels[:_SHOWN], "...", labels[-1]]
        return "".join(reversed(labels))

    def _back(self) -> Iterator[Name]:
        name: Name | None = self
        while name is not None:
            yield name
            name = name._parent


def item(key: object, parent: Name) -> Name:
    """The path to an item of a container."""
    return Name(f"[{key!r}]" if isinstance(key, _PLAIN_KEYS) else f"[a {type(key).__name__}]", parent)


def named_by(function: types.FunctionType) -> set[str] | None:
    """The names that a function's code uses, as identifiers or as text; None where it may use any."""
    if function.__name__ in ASIDE:
        return set()
    names: set[str] = set()
    for code in codes(function):
        names.update(code.co_names)
        for constant in code.co_consts:
            names.update(
                text
                for text in (constant if isinstance(constant, tuple) else (constant,))
                if isinstance(text, str) and text.isidentifier()
            )
    return None if names & _ANY_NAME and own(function.__module__ or "") else names


def codes(function: types.FunctionType) -> Iterator[types.CodeType]:
    """The code of a function and of those written inside it."""
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        yield code
        waiting.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def root(module: str) -> str:
    """The top-level package of a module."""
    return module.partition(".")[0]


def of_python(package: str) -> bool:
    """Whether a top-level module belongs to the standard library."""
    return package in sys.stdlib_module_names and package != "__main__"


@cache
def installed(package: str) -> bool:
    """Whether a top-level module is lastbit or an installed package, and not the user's own code."""
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return package == "lastbit" or "site-packages" in file or "dist-packages" in file


def own(module: str) -> bool:
    """Whether a module is the user's own code."""
    return not installed(root(module)) and not of_python(root(module))
