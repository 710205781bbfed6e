"""Where plain descriptions of the same thing differ."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_HASH = re.compile("[0-9a-f]{64}")
_MOST = 60  # characters of a value that is shown


def differing_fields(descriptions: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The fields whose values are not the same in all descriptions, with the value in each; None for a missing one.

    Args:
        descriptions: such as the fingerprints of a study's trials.
    """
    names = dict.fromkeys(name for description in descriptions for name in description)
    values = {name: [description.get(name) for description in descriptions] for name in names}
    return {name: given for name, given in values.items() if any(value != given[0] for value in given)}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What changed between nested settings, each as `old -> new`, by names joined by dots.

    Args:
        before: plain JSON.
        after: the same with other values.
    """
    changed: dict[str, str] = {}
    for name, (old, new) in differing_fields([before, after]).items():
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed |= {f"{name}.{inner}": text for inner, text in changes(old, new).items()}
        else:
            changed[name] = f"{_shown(old)} -> {_shown(new)}"
    return changed


def _shown(value: Any) -> str:
    """A value in a few characters: the beginning of a hash, both ends of a long text."""
    text = value if isinstance(value, str) and value else repr(value)
    if _HASH.fullmatch(text):
        return f"{text[:8]}…"
    return text if len(text) <= _MOST else f"{text[: _MOST // 2]} … {text[-_MOST // 2 :]}"
