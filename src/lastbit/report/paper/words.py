"""Published and measured values, whatever their shape, in words."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.numbers import MISSING
from lastbit.report.pde.significant import significant

_EXACT = 1_000_000  # whole numbers below this are written out


def in_words(value: Any) -> str:
    """A value of plain JSON as people read it: `0.1`, `12 and 14`, `1: 90 to 100; 2: 10 to 20`.

    Args:
        value: number, text, list or mapping of such; None for what there is none of.
    """
    return _words(value, nested=False)


def interval_in_words(interval: list[float | None] | None) -> str:
    """An interval: `0.09 to 0.1`; other lengths are lists."""
    if interval is not None and len(interval) == 2:
        low, high = (_words(end, nested=True) for end in interval)
        return f"{low} to {high}" if low != high else low
    return in_words(interval)


def _words(value: Any, *, nested: bool) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return _in_brackets(
            "; ".join(f"{_name(key)}: {_words(each, nested=True)}" for key, each in value.items()), nested
        )
    if isinstance(value, list | tuple):
        return _in_brackets(", ".join(_words(each, nested=True) for each in value) or "none", nested)
    return str(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) and abs(value) < _EXACT else significant(value)


def _name(key: str) -> str:
    return str(key).replace("_", " ")


def _in_brackets(text: str, nested: bool) -> str:
    return f"({text})" if nested else text
