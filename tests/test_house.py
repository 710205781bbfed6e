"""What the files of the package are like: their sizes, who imports them, and what their public things are called."""

import ast
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import grimp
import pytest

import lastbit

ROOT = Path(lastbit.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 250
FEWEST_LINES = 40  # of a file that a single other imports; below that it belongs into its importer

# What is larger or smaller today. The lists only shrink: what is on them is to go, nothing comes to them.
LARGER: dict[str, int] = {}
CRUMBS: set[str] = set()


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("lastbit", cache_dir=None)


def importers(graph, path):
    """The modules that import a file, be it inside a function or for its types only."""
    return graph.find_modules_that_directly_import(".".join(("lastbit", *Path(name_of(path)).with_suffix("").parts)))


def public_classes():
    """The files that define a public class at their top, by its name."""
    found = defaultdict(set)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(name_of(path))
    return found


def exported():
    """The rooms that export a thing of a name, each with the thing; the face of the package exports its rooms' own."""
    found = defaultdict(dict)
    for path in FILES:
        if path.name == "__init__.py" and path.parent != ROOT:
            room = ".".join(("lastbit", *path.relative_to(ROOT).parent.parts))
            for name in getattr(import_module(room), "__all__", ()):
                thing = getattr(import_module(room), name)
                if not hasattr(thing, "__path__"):
                    found[name].setdefault(id(thing), room)
    return found


def test_no_file_is_larger_than_a_reader_takes_in():
    larger = {name_of(path): lines_of(path) for path in FILES if lines_of(path) > MOST_LINES}
    assert {name: lines for name, lines in larger.items() if lines > LARGER.get(name, MOST_LINES)} == {}


def test_no_crumb_has_a_single_importer(imports):
    crumbs = set()
    for path in FILES:
        if path.name not in ("__init__.py", "__main__.py") and lines_of(path) < FEWEST_LINES:
            by = importers(imports, path)
            if len(by) == 1 and by != {".".join(("lastbit", *path.relative_to(ROOT).parent.parts))}:
                crumbs.add(name_of(path))
    assert crumbs - CRUMBS == set()


def test_no_file_imports_from_the_init_of_its_own_folder(imports):
    """Which has imported it, or is about to: a circle that only the order of lines keeps from failing."""
    for path in FILES:
        if path.name != "__init__.py" and path.parent != ROOT:
            folder = ".".join(("lastbit", *path.relative_to(ROOT).parent.parts))
            own = f"{folder}.{path.stem}"
            assert folder not in imports.find_modules_directly_imported_by(own), own


def test_no_two_public_classes_share_a_name():
    assert {name for name, files in public_classes().items() if len(files) > 1} == set()


def test_no_two_exported_things_share_a_name():
    shared = {name: sorted(rooms.values()) for name, rooms in exported().items() if len(rooms) > 1}
    assert shared == {}


def test_types_that_torch_2_7_cannot_subscript_are_never_evaluated():
    """`OpOverload[..., Any]` is an error there, at the import of a file whose annotations Python evaluates."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "OpOverload[" not in text or "from __future__ import annotations" in text, name_of(path)
