"""Files that a program reads, files that it writes, and the files of its own code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastbit.script.hooks import after_import
from lastbit.storage.files import sha256

_MOST = 1000  # files of each kind that are noted; a data set may have millions
_CODE = (".py", ".pyc", ".so", ".ipynb")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SYSTEM = ("/proc", "/sys", "/dev", "/usr", "/etc", "/lib", "/lib64")


@dataclass
class FilesUsed:
    """What a process opened; paths are absolute, times are those of the last change in nanoseconds."""

    began: int = field(default_factory=time.time_ns)
    read: dict[str, int] = field(default_factory=dict)  # as it was when it was first read
    read_back: dict[str, int] = field(default_factory=dict)  # after it had written it
    wrote: dict[str, int] = field(default_factory=dict)  # by `close` as it was left

    def watch(self, *outside: Path) -> None:
        """Note what this process opens from now on.

        Args:
            outside: directories of which nothing is noted, beside Python's own and the user's cache.
        """
        here, passed_over = os.getpid(), tuple(f"{path}{os.sep}" for path in (*outside, *_python()))

        def opened(event: str, args: tuple[Any, ...]) -> None:
            """Note a file that is opened; errors are left to the program."""
            if event == "open" and isinstance(args[0], str | bytes | os.PathLike) and os.getpid() == here:
                try:
                    self._note(os.path.abspath(os.fsdecode(args[0])), args[1], args[2], passed_over)  # noqa: PTH100
                except (OSError, ValueError):
                    return

        sys.addaudithook(opened)
        after_import("safetensors", lambda: _watch_safetensors(lambda name, mode: opened("open", (name, mode, 0))))

    def watch_torch(self) -> None:
        """Note what `torch.save` writes too, which opens its file in C++."""
        from torch import serialization

        if (writer := getattr(serialization, "_open_zipfile_writer_file", None)) is None:
            return
        opening = writer.__init__

        def opened(this: Any, name: Any, *args: Any, **options: Any) -> None:
            """Open the archive, and note it."""
            opening(this, name, *args, **options)
            self._add(self.wrote, os.path.abspath(os.fsdecode(name)), 0)  # noqa: PTH100

        writer.__init__ = opened

    def close(self) -> None:
        """Note the last change of every file that was written."""
        self.wrote = {path: changed for path in self.wrote if (changed := _changed(path)) is not None}

    def _note(self, path: str, mode: str | None, flags: int, passed_over: tuple[str, ...]) -> None:
        if path.startswith(passed_over) or path.endswith(_CODE):
            return
        writes = bool(flags & _WRITING) if mode is None else any(letter in mode for letter in "wax+")
        reads = not writes if mode is None else "r" in mode
        if reads and (changed := _changed(path)) is not None:
            self._add(self.read_back if path in self.wrote else self.read, path, changed)
        if writes:
            self._add(self.wrote, path, 0)

    def _add(self, files: dict[str, int], path: str, changed: int) -> None:
        if len(files) < _MOST:
            files.setdefault(path, changed)


def _watch_safetensors(note: Callable[[Any, str], None]) -> None:
    """Note what safetensors opens in Rust; its modules for torch and NumPy take these names from it."""
    import safetensors

    opening, writing = safetensors.safe_open, safetensors.serialize_file

    class Meta(type):
        """Counts instances of the original class as this one's."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, opening)

    class SafeOpen(metaclass=Meta):
        """Opens a file, and notes it; the original class cannot be inherited from."""

        def __new__(cls, filename: Any, *args: Any, **options: Any) -> Any:
            note(filename, "rb")
            return opening(filename, *args, **options)

    def serialize_file(tensors: Any, filename: Any, *args: Any, **options: Any) -> None:
        """Write a file, and note it."""
        writing(tensors, filename, *args, **options)
        note(filename, "wb")

    safetensors.safe_open, safetensors.serialize_file = SafeOpen, serialize_file  # type: ignore[misc, assignment]


def _python() -> Iterator[str]:
    """Directories of Python, of the system, and of libraries' caches."""
    yield from (*_SYSTEM, sys.prefix, sys.base_prefix, str(Path(os.__file__).parent))
    yield os.path.expanduser("~/.cache")  # noqa: PTH111 - there may be no home


def _changed(path: str) -> int | None:
    """The time of its last change in nanoseconds; None where it is no file."""
    return os.stat(path).st_mtime_ns if os.path.isfile(path) else None  # noqa: PTH113, PTH116 - called very often


def imported_sources(directory: Path, main: str | None = None) -> dict[str, str]:
    """Hash of each Python file under `directory` that this process has imported, by its absolute path.

    Installed packages are left out, though they may lie below: the fingerprint names the versions that matter.

    Args:
        directory: of the script.
        main: the script's file, of which Python's `__main__` does not know any more when the process ends.
    """
    files = [main, *(getattr(module, "__file__", None) for module in list(sys.modules.values()))]
    own = {
        path
        for file in files
        if isinstance(file, str) and (path := Path(file)).suffix == ".py" and _is_own(path, directory)
    }
    return {str(path): sha256(path.read_bytes()) for path in sorted(own) if path.is_file()}


def changed_sources(sources: dict[str, str]) -> list[str]:
    """Those of the files that are no longer what their hash says."""
    return [file for file, known in sources.items() if not _is_still(Path(file), known)]


def _is_own(path: Path, directory: Path) -> bool:
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return path.suffix == ".py" and path.is_relative_to(directory) and not installed


def _is_still(path: Path, known: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == known
