"""What the paper's items and scales are called, known without importing them: the command line completes names."""

import re
from importlib import resources

ALL = "all"
SCALES = ("smoke", "laptop", "paper")

_ID = re.compile(r'^ +id="([a-z0-9.-]+)",$', re.MULTILINE)


def item_names() -> list[str]:
    """The ids of the items, sorted by the numbers in them: read from their source files, whose imports take seconds."""
    files = (file for file in resources.files("lastbit.paper").iterdir() if file.name.endswith(".py"))
    return sorted((name for file in files for name in _ID.findall(file.read_text(encoding="utf-8"))), key=_numbered)


def _numbered(name: str) -> list[str]:
    return [part.zfill(3) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
