"""Whether a file is a Python program, and what to give instead of one that is none."""

import ast
import re
import shlex
from pathlib import Path

from lastbit.errors import LastbitError

_SHELL = (".sh", ".bash", ".zsh", ".slurm", ".sbatch", ".fish")
_BEGINNING = 1024  # bytes that are looked at
_IS_SHELL = re.compile(rb"#!.*\b(ba|z|k|da|fi)?sh\b")
_SUFFIXES = (".py", ".pyw")


def check_python(path: Path, name: str) -> None:
    """Check that a file may be a Python program; whether it is a right one, Python itself will say.

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
