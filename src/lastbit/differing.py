"""Where plain descriptions of the same thing differ."""

from collections.abc import Mapping, Sequence
from typing import Any


def differing_fields(descriptions: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The fields whose values are not the same in all descriptions, with the value in each; None for a missing one.

    Args:
        descriptions: such as the fingerprints of a study's trials.
    """
    names = dict.fromkeys(name for each in descriptions for name in each)
    values = {name: [each.get(name) for each in descriptions] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}
