"""What the paper's items and scales are called, known without importing them: the command line completes names."""

import re
from importlib import resources
from importlib.metadata import EntryPoint, entry_points

ALL = "all"
SCALES = ("smoke", "laptop", "paper")

_ID = re.compile(r'^ +id="([a-z0-9.-]+)",$', re.MULTILINE)


def item_names() -> list[str]:
    """The ids of the items, sorted by the numbers in them: read from their source files, whose imports take seconds."""
    files = (file for file in resources.files("lastbit.paper.items").iterdir() if file.name.endswith(".py"))
    built_in = (name for file in files for name in _ID.findall(file.read_text(encoding="utf-8")))
    return sorted({*built_in, *(entry.name for entry in other_items())}, key=_numbered)


def other_items() -> tuple[EntryPoint, ...]:
    """The items of other installed packages: entry points of the group `lastbit.paper_items`, named as the item is."""
    return tuple(entry_points(group="lastbit.paper_items"))


def _numbered(name: str) -> list[str]:
    return [part.zfill(3) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
