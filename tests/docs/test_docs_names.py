"""What the pages name is there: Python names of lastbit, and files of the repository."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.py"))
ENTRY_POINTS = {
    "lastbit.noises",
    "lastbit.optimizers",
    "lastbit.paper_items",
    "lastbit.run_formats",
}  # groups, which are no modules
ROOMS = "src|tests|docs|benchmarks|examples|results|lastbit|training|paper|noise"
# From the roots that pages use; `...` and `mutations_of_*.py` stand for several files.
BASES = (ROOT, ROOT / "src", ROOT / "src" / "lastbit")


def names(text):
    """The dotted names that begin with the package or its usual abbreviation."""
    return set(re.findall(r"(?<![\w/.-])(?:lb|lastbit)(?:\.[A-Za-z_]\w*)+", text)) - ENTRY_POINTS


def exists(name):
    """Whether a dotted name is a module, or something in one."""
    thing, place = import_module("lastbit"), "lastbit"
    for part in name.split(".")[1:]:
        place = f"{place}.{part}"
        if not hasattr(thing, part) and hasattr(thing, "__path__") and find_spec(place):
            import_module(place)  # which makes it an attribute of its package
        if not hasattr(thing, part):
            return part in getattr(thing, "__dataclass_fields__", {})
        thing = getattr(thing, part)
    return True


def paths(text):
    """What is written in backticks like a path of the repository."""
    return {path for path in re.findall(rf"`((?:{ROOMS})/[\w./*-]+)`", text) if "..." not in path}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_and_path_on_a_page_is_there(page):
    text = page.read_text()
    assert [name for name in sorted(names(text)) if not exists(name)] == []
    assert [path for path in sorted(paths(text)) if not any(any(base.glob(path)) for base in BASES)] == []


def test_a_wrong_name_would_be_found():
    found = names(
        "`lb.Scale(k=3)`, lastbit.noise.Scale, lb.Scales, lastbit.nowhere.Scale and lastbit.noise.scale.Scale.k"
    )
    assert sorted(name for name in found if not exists(name)) == ["lastbit.nowhere.Scale", "lb.Scales"]
    assert paths("`lastbit/noise/`, `src/lastbit/noise/scale.py`") == {"lastbit/noise/", "src/lastbit/noise/scale.py"}
