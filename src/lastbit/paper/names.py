"""The names of the paper's items and scales, known without importing the items: the command line completes them."""

import re
from importlib import resources
from importlib.metadata import EntryPoint, entry_points

ALL = "all"
SCALES = ("smoke", "laptop", "paper")

_ID = re.compile(r'^ +id="([a-z0-9.-]+)",$', re.MULTILINE)


def item_names() -> list[str]:
    """Return the ids of the items, sorted by number. They are read from the source files: imports take seconds."""
    files = (file for file in resources.files("lastbit.paper.items").iterdir() if file.name.endswith(".py"))
    built_in = (name for file in files for name in _ID.findall(file.read_text(encoding="utf-8")))
    return sorted({*built_in, *(entry.name for entry in other_items())}, key=_numbered)


def other_items() -> tuple[EntryPoint, ...]:
    """Return the items of other installed packages: entry points of the group `lastbit.paper_items`."""
    return tuple(entry_points(group="lastbit.paper_items"))


def _numbered(name: str) -> list[str]:
    return [part.zfill(3) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
