"""Where modules and console scripts are found, without importing or running anything."""

import shutil
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path


def find_module(name: str, directory: Path | None = None) -> ModuleSpec | None:
    """The spec of what `python -m name` runs in `directory`: the module, or a package's `__main__`; None without one.

    Only the file system is looked at: importing a package to look into it would run its code here.

    Args:
        name: dotted name.
        directory: which `python -m` would search first; the present directory by default.
    """
    spec, places = None, [str(directory or Path.cwd()), *sys.path]
    parts = name.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    assert spec is not None
    if spec.submodule_search_locations is not None:
        return PathFinder.find_spec(f"{name}.__main__", places)
    return spec


def find_command(name: str) -> Path | None:
    """The Python file of a console script, on PATH or beside this Python; None where there is none in Python.

    What PATH holds may be a version manager's shell script of the same name.
    """
    beside = str(Path(sys.executable).parent)
    found = (shutil.which(name), shutil.which(name, path=beside))
    return next((Path(path) for path in found if path is not None and _is_python_file(Path(path))), None)


def find_entry_point(name: str) -> EntryPoint | None:
    """The console script of this name among the installed packages of this Python."""
    return next(iter(entry_points(group="console_scripts", name=name)), None)


def _is_python_file(path: Path) -> bool:
    # Where Python's path is long or holds a space, pip writes `#!/bin/sh` and starts Python in the second line.
    with path.open("rb") as file:
        beginning = file.read(1024)
    return beginning.startswith(b"#!") and b"python" in b"\n".join(beginning.split(b"\n")[:2])
