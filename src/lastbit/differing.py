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
    names = dict.fromkeys(name for each in descriptions for name in each)
    values = {name: [each.get(name) for each in descriptions] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What changed from one nest of settings to another, each as `old -> new`, by the names joined by dots.

    Args:
        before: plain JSON.
        after: the same with other values.
    """
    found: dict[str, str] = {}
    for name, (old, new) in differing_fields([before, after]).items():
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= {f"{name}.{inner}": said for inner, said in changes(old, new).items()}
        else:
            found[name] = f"{_shown(old)} -> {_shown(new)}"
    return found


def _shown(value: Any) -> str:
    """A value in a few characters: of a hash the beginning, of a long text beginning and end."""
    text = value if isinstance(value, str) and value else repr(value)
    if _HASH.fullmatch(text):
        return f"{text[:8]}…"
    return text if len(text) <= _MOST else f"{text[: _MOST // 2]} … {text[-_MOST // 2 :]}"
