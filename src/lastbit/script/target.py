"""What to run: a script, a module or a console script with its arguments, found without running anything."""

import ast
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError, did_you_mean
from lastbit.storage.limits import reachable

FILE, MODULE, COMMAND = "file", "module", "command"

_FEW = 5  # names in a message
_PYTHON = re.compile(r"python(\d(\.\d+)?)?")

_SHELL = (".sh", ".bash", ".zsh", ".slurm", ".sbatch", ".fish")
_BEGINNING = 1024  # bytes that are looked at
_IS_SHELL = re.compile(rb"#!.*\b(ba|z|k|da|fi)?sh\b")
_SHELLS = ("bash", "sh", "zsh", "dash", "ksh", "fish")
_OTHER_LAUNCHERS = ("mpirun", "mpiexec", "srun", "deepspeed", "horovodrun", "colossalai")
_SUFFIXES = (".py", ".pyw")


@dataclass(frozen=True)
class Target:
    """A Python program as one would give it to `python`, and its arguments."""

    kind: str  # `file`, `module` (python -m) or `command` (a console script)
    name: str  # the path as it was given, the module's dotted name, or the command's name
    arguments: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The target as a command line gives it: `train.py --lr 0.1`, `-m package.train`."""
        return (*(("-m",) if self.kind == MODULE else ()), self.name, *self.arguments)

    def with_arguments(self, *more: str) -> "Target":
        """The same target with further arguments at the end."""
        return Target(self.kind, self.name, (*self.arguments, *more))

    def as_json(self) -> dict[str, Any]:
        """Plain data that `target_from_json` reads back."""
        return asdict(self)

    def path(self, directory: Path | None = None) -> Path | None:
        """The file of Python code behind the target; None for an entry point without a file.

        Args:
            directory: where the target runs; the present directory by default.
        """
        if self.kind == FILE:
            return Path(directory or Path.cwd()) / self.name
        if self.kind == COMMAND:
            return find_command(self.name)
        spec = find_module(self.name, directory)
        return Path(spec.origin) if spec is not None and spec.origin is not None else None


def target_from_json(data: Mapping[str, Any]) -> Target:
    """Read back what `Target.as_json` gave."""
    return Target(data["kind"], data["name"], tuple(data["arguments"]))


def parse_target(words: Sequence[str], directory: Path | None = None) -> Target:
    """Read a command line such as `train.py --lr 0.1`, `-m package.train` or `my-train`; a leading `python` is dropped.

    Args:
        words: the command line's words.
        directory: where the target is to run; the present directory by default.

    Raises:
        LastbitError: there is no such script, module or command, or it is no Python program.
    """
    rest = list(words[1:] if words and _is_python(words[0]) else words)
    while rest and rest[0] == "-u":  # output is collected whole, so buffering makes no difference
        rest = rest[1:]
    if not rest:
        raise LastbitError("no script was given: name it after `--`, as in `-- train.py --lr 0.1`")
    if rest[0] == "-m":
        return _module(rest[1:], directory)
    if rest[0].startswith("-"):
        raise LastbitError(
            f"{rest[0]!r} comes where the script belongs: after `--`, give a script, `-m` and a module, or a command"
        )
    name, arguments = rest[0], tuple(rest[1:])
    path = reachable(Path(directory or Path.cwd()) / name)
    if path.is_file():
        if os.sep in name and os.access(path, os.R_OK) and not _is_python_file(path):
            _check_launcher(name, arguments)
        check_python(path, name)
        return Target(FILE, name, arguments)
    if path.is_dir():
        raise LastbitError(f"{name} is a directory: name the script in it{_runnable(path)}")
    if os.sep in name or name.endswith((".py", ".ipynb")):
        raise LastbitError(f"there is no script {name} in {path.parent}{_near(path)}")
    return _command(name, arguments, directory)


def _is_python(word: str) -> bool:
    return word == sys.executable or _PYTHON.fullmatch(Path(word).name) is not None


def _module(words: Sequence[str], directory: Path | None) -> Target:
    if not words:
        raise LastbitError("-m needs the name of a module, as in `-- -m package.train`")
    if find_module(words[0], directory) is None:
        raise LastbitError(
            f"there is no module {words[0]} to run: neither in {directory or Path.cwd()} nor among what is installed"
        )
    return Target(MODULE, words[0], tuple(words[1:]))


def _command(name: str, arguments: tuple[str, ...], directory: Path | None) -> Target:
    if find_command(name) is None and find_entry_point(name) is None:
        if "." in name and find_module(name, directory) is not None:
            raise LastbitError(f"{name} is a module: write -m before it, as in `-- -m {name}`")
        _check_launcher(name, arguments)
        raise LastbitError(
            f"{name} is neither a script here nor a console script of this Python ({sys.executable}); a console script"
            " is a Python program that a package installs"
        )
    return Target(COMMAND, name, arguments)


def _check_launcher(name: str, arguments: Sequence[str]) -> None:
    """Refuse shells and launchers that are no Python programs, with what to write instead."""
    if (other := Path(name).name) in (*_SHELLS, *_OTHER_LAUNCHERS):
        script = next((word for word in arguments if word.endswith(_SUFFIXES)), "train.py")
        what = "a shell" if other in _SHELLS else "no launcher that lastbit can start"
        raise LastbitError(
            f"{name} is {what}: give the Python script alone, as in `-- {script}`, or start its processes by torchrun"
            f" or accelerate launch, as in `-- torchrun --nproc-per-node 2 {script}`"
        )


def _runnable(directory: Path) -> str:
    """The scripts in a directory, where they are few."""
    scripts = sorted(file.name for file in directory.glob("*.py") if file.name != "__init__.py")
    return f" ({', '.join(scripts)})" if 0 < len(scripts) <= _FEW else ""


def _near(path: Path) -> str:
    """The scripts there with nearly this name, as a question."""
    there = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    return did_you_mean(path.name, there, before=": ")


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
    paths = (shutil.which(name), shutil.which(name, path=beside))
    return next((Path(path) for path in paths if path is not None and _is_python_file(Path(path))), None)


def find_entry_point(name: str) -> EntryPoint | None:
    """The console script of this name among the installed packages of this Python."""
    return next(iter(entry_points(group="console_scripts", name=name)), None)


def _is_python_file(path: Path) -> bool:
    # Where Python's path is long or holds a space, pip writes `#!/bin/sh` and starts Python in the second line.
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    return beginning.startswith(b"#!") and b"python" in b"\n".join(beginning.split(b"\n")[:2])


def check_python(path: Path, name: str) -> None:
    """Check that a file may be a Python program; syntax errors are left to Python.

    Args:
        path: of the file.
        name: as it was given.

    Raises:
        LastbitError: it cannot be read, or is a notebook, a shell script or something else.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError as error:
        raise LastbitError(f"{name} cannot be read: {error.strerror}") from None
    if path.suffix in _SUFFIXES:
        return
    if path.suffix == ".ipynb":
        script = Path(name).with_suffix(".py")
        raise LastbitError(
            f"{name} is a notebook: make a script of it with `jupyter nbconvert --to script {shlex.quote(name)}` and"
            f" give {script.name}"
        )
    first, _, rest = beginning.partition(b"\n")
    # Where Python's path is long, pip writes `#!/bin/sh` and starts Python in the second line.
    if path.suffix in _SHELL or (_IS_SHELL.match(first) and b"python" not in rest.partition(b"\n")[0]):
        raise LastbitError(f"{name} is a shell script: give the Python script that it starts, with its arguments")
    if path.suffix == ".pyc" or b"\0" in beginning:
        raise LastbitError(f"{name} is no text: give the Python script it was made of")
    if not first.startswith(b"#!") and path.suffix and not _parses(path):
        raise LastbitError(f"{name} is no Python script: give one, `-m` and a module, or a console script")


def _parses(path: Path) -> bool:
    try:
        ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False
    return True
