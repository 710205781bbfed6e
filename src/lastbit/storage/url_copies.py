"""Stored results from elsewhere: the files behind an fsspec URL, copied to a temporary directory.

What another machine serves is not trusted: names that lead elsewhere are refused, links are not followed, and there are
limits on how many files come and how large they are.
"""

import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from lastbit.errors import LastbitError
from lastbit.storage.limits import reachable

MOST_FILES = 200_000  # a study of 10,000 trials with ten snapshots each has 160,000
MOST_BYTES_OF_A_FILE = 4 * 2**30  # weights of a billion parameters
MOST_BYTES = 64 * 2**30
_PATIENCE = 60.0  # seconds for an answer of the other side
_CHUNK = 2**22  # bytes asked for at once
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")  # two letters at least: `C:` is a drive

T = TypeVar("T")


@dataclass(frozen=True)
class _Remote:
    """A file on the other side."""

    name: str  # below the directory asked for, with slashes
    path: str  # as its file system has it
    size: int | None  # bytes, where the listing gives them


def is_url(place: str) -> bool:
    """Whether this is a URL, such as `s3://bucket/study`, and not a local path."""
    return _URL.match(place) is not None


@contextmanager
def local_copy(
    place: str, *, wanted: Sequence[str] = ("*",), on_file: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Path]:
    """Give a directory on this machine: a local path as it is, and a copy of what is at a URL, removed afterwards.

    Args:
        place: a path, or a URL of any kind that fsspec knows (`s3://`, `gs://`, `https://`, `memory://`, `file://`).
        wanted: patterns of the names to copy, as `fnmatch` has them (`*` also matches slashes). Hidden files stay.
        on_file: called after each file with how many are copied and how many there are.

    Raises:
        LastbitError: a local path cannot be read; or nothing is at a URL, it does not answer, its kind is unknown or
            needs a package, or it holds what is refused: too many or too large files, links, names that lead out of
            the directory.
    """
    if not is_url(place):
        yield reachable(Path(place))
        return
    with tempfile.TemporaryDirectory(prefix="lastbit-copy-") as folder:
        # The directory's own name is the study's in a comparison.
        directory = Path(folder) / _last_part(place)
        directory.mkdir()
        system, root = _opened(place)
        files = [file for file in _listed(system, root, place) if any(fnmatchcase(file.name, one) for one in wanted)]
        _check_sizes(files, place)
        left = MOST_BYTES
        for done, file in enumerate(files, start=1):
            left -= _copy(system, file, directory / file.name, place, left)
            on_file(done, len(files))
        yield directory


def _last_part(place: str) -> str:
    parts = re.findall(r"[\w. -]+", place.partition("://")[2])
    name = parts[-1].strip(". ")[:100] if parts else ""
    return name or "study"


def _opened(place: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # only here: local paths need none of it

    system, root = _asked(place, lambda: url_to_fs(place))
    return system, str(root).rstrip("/")


def _listed(system: Any, root: str, place: str) -> list[_Remote]:
    """Every file below a directory, sorted; hidden ones are left out."""
    files = _asked(place, lambda: list(_local_files(root) if _is_local(system) else _remote_files(system, root)))
    if not files:
        raise LastbitError(f"there is nothing at {place}")
    if len(files) > MOST_FILES:
        raise LastbitError(f"{place} holds more than {MOST_FILES:,} files, the most that are read from elsewhere")
    for file in files:
        _check_name(file.name, place)
    return sorted((file for file in files if not _is_hidden(file.name)), key=lambda file: file.name)


def _is_local(system: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def _local_files(root: str) -> Iterator[_Remote]:
    """Walked here and not by fsspec, which follows links."""
    for directory, below, names in os.walk(root):
        for name in [*names, *below]:
            path = Path(directory, name)
            if path.is_symlink() or (name in names and not stat.S_ISREG(path.lstat().st_mode)):
                raise LastbitError(f"{path} is a link or no ordinary file, and is not followed: copy the study without")
            if name in names:
                yield _Remote(path.relative_to(root).as_posix(), str(path), path.stat().st_size)


def _remote_files(system: Any, root: str) -> Iterator[_Remote]:
    for number, (path, about) in enumerate(system.find(root, detail=True).items()):
        if about.get("type") == "link" or about.get("islink"):
            raise LastbitError(f"{path} is a link, and is not followed: copy the study without")
        if number > MOST_FILES:
            return
        if path.rstrip("/") != root:
            yield _Remote(_below(path, root), path, about.get("size"))


def _below(path: str, root: str) -> str:
    if not path.startswith(f"{root}/") and root:
        raise LastbitError(f"{path!r} is not below {root!r}")
    return path[len(root) :].lstrip("/")


def _check_name(name: str, place: str) -> None:
    parts = PurePosixPath(name).parts
    leads_out = ".." in parts or name.startswith("/") or "\\" in name or PureWindowsPath(name).drive
    if not parts or leads_out or not name.isprintable():
        raise LastbitError(f"{place} holds a file named {name!r}, which is refused: it may lead out of the directory")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _check_sizes(files: Sequence[_Remote], place: str) -> None:
    sizes = [file.size or 0 for file in files]
    if sum(sizes) > MOST_BYTES:
        raise LastbitError(f"{place} holds {_gib(sum(sizes))}; at most {_gib(MOST_BYTES)} are read from elsewhere")


def _copy(system: Any, file: _Remote, target: Path, place: str, left: int) -> int:
    """Copy a file and count its bytes, which may be more than the listing said."""
    target.parent.mkdir(parents=True, exist_ok=True)
    most, copied = min(left, MOST_BYTES_OF_A_FILE), 0
    with target.open("xb") as kept, _asked(place, lambda: system.open(file.path, "rb")) as source:
        while chunk := _asked(place, lambda: source.read(_CHUNK)):
            copied += len(chunk)
            if copied > most:
                raise LastbitError(f"{place}: {file.name} is too large: at most {_gib(most)} of it are read")
            kept.write(chunk)
    return copied


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"


def _asked(place: str, call: Callable[[], T]) -> T:
    """Ask the other side, with patience that ends, and say in one line what went wrong.

    The call is left behind in a thread where it does not answer: not every file system has a time-out.
    """
    answers: SimpleQueue[T | BaseException] = SimpleQueue()
    threading.Thread(target=lambda: answers.put(_outcome(call)), daemon=True).start()
    try:
        answer = answers.get(timeout=_PATIENCE)
    except Empty:
        raise LastbitError(
            f"{place} did not answer within {_PATIENCE:g} s: is the address right, and reachable?"
        ) from None
    if isinstance(answer, BaseException):
        raise LastbitError(f"{place}: {_reason(answer)}") from answer
    return answer


def _outcome(call: Callable[[], T]) -> T | BaseException:
    try:
        return call()
    except Exception as error:
        # Each kind of file system has its own exceptions.
        return error


def _reason(error: BaseException) -> str:
    complaint = (str(error).strip().splitlines() or [""])[0][:300]
    if isinstance(error, FileNotFoundError):
        return f"there is no such place ({complaint})"
    if isinstance(error, ImportError):
        return f"a package for this kind of URL is missing ({complaint})"
    return complaint or type(error).__name__
