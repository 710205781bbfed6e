"""Files that are whole or absent: written under a temporary name, synced, renamed; and the JSON they hold."""

import errno
import hashlib
import json
import math
import os
import re
import stat
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from lastbit.errors import LastbitError
from lastbit.storage.limits import MOST_JSON, parse_json, read_limited

_CHECKSUM = "checksum"
_DESCRIPTORS = re.compile(r"/dev/fd|/proc/(self|thread-self|[0-9]+)(/task/[0-9]+)?/fd")
_MOST_LINKS = 40  # that are followed, as Linux has it


@contextmanager
def replacing(path: Path, *, like: os.stat_result | None = None) -> Iterator[BinaryIO]:
    """Write `path` under a temporary name beside it, and rename once every byte is on disk.

    A crash or an exception leaves whatever was at `path` before. The temporary name is opened plainly, not by
    `tempfile`, so that the file gets the permissions of the user's umask: a folder may be shared by a group.

    Args:
        path: of the file.
        like: a file whose owner, as far as the system allows, and permissions the new one gets.

    Raises:
        IsADirectoryError: the path names no file, as `/` and the empty path do.
        OSError: the file cannot be written there for another reason.
    """
    if not path.name:  # `/` or the empty path
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as handle:
            if like is not None:
                _make_like(handle.fileno(), like)
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it holds its old content or all of the new; make its directory if need be."""
    with replacing(path) as handle:
        handle.write(content)


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a person named, wherever the name leads.

    A regular file is replaced in one step and keeps its permissions, or written in place where its directory does not
    let it be replaced. Symbolic links are followed and stay. What is no
    regular file (a device, a FIFO, `/dev/stdout`, the descriptor of a process substitution) is written through.

    Raises:
        OSError: as `check_output` does; or the file cannot be written for another reason.
    """
    check_output(path)
    if is_written_through(path):
        with open_through(path) as handle:
            handle.write(content)
        return
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not target.exists():
        write_atomically(target, content)
    elif not os.access(target.parent, os.W_OK):  # a writable file that cannot be replaced
        _write_in_place(target, content)
    else:
        _replace(target, content)


def _replace(target: Path, content: bytes) -> None:
    try:
        with replacing(target, like=target.stat()) as handle:
            handle.write(content)
    except OSError as error:
        # A file that is mounted by itself, as into a container, or of another owner in a sticky directory.
        if error.errno not in (errno.EBUSY, errno.EPERM):
            raise
        _write_in_place(target, content)


def _write_in_place(target: Path, content: bytes) -> None:
    with target.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def check_output(path: Path) -> None:
    """Check, as far as it can be known, that a file can be written where a person wants it; nothing is touched.

    A missing directory is no obstacle, since it is made, except behind a symbolic link.

    Raises:
        IsADirectoryError: the path is a directory.
        PermissionError: the file, or the directory that a new one would be in, may not be written.
        OSError: links lead in a circle or to a missing directory, or what should be a directory is none.
    """
    if _own_descriptor(path) is not None:
        return
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        _check_new(path)
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _check_writable(path)


def is_written_through(path: Path) -> bool:
    """Whether writing to this path must not replace what is there: a descriptor, a device, a FIFO, a socket."""
    return _own_descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def open_through(path: Path) -> BinaryIO:
    """Open what `is_written_through` for writing; a descriptor of this process goes on where it stands.

    Raises:
        OSError: it cannot be opened.
    """
    number = _own_descriptor(path)
    if number is None:
        return path.open("wb")
    for stream in (sys.stdout, sys.stderr):  # what was printed before comes before
        stream.flush()
    # Opened by its name, a file behind the descriptor would be cut to nothing.
    return os.fdopen(os.dup(number), "wb")


@contextmanager
def writing(place: object) -> Iterator[None]:
    """Say in one line of a place that a person chose that nothing can be written there.

    Args:
        place: with its option where it has one: `--out runs/demo`.

    Raises:
        LastbitError: in place of the OSError of the block.
    """
    try:
        yield
    except BrokenPipeError:  # the reader went away, which is no mistake
        raise
    except OSError as error:
        raise LastbitError(f"{place}: cannot write there: {error.strerror or error}") from None


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: a rename is not before its directory is synced."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_like(descriptor: int, like: os.stat_result) -> None:
    for owner, group in ((-1, like.st_gid), (like.st_uid, -1)):
        with suppress(PermissionError):  # only root may give a file away
            os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode) & 0o777)


def _own_descriptor(path: Path) -> int | None:
    """The number of the descriptor of this process that a path names, as `/dev/stdout` does; None for others."""
    for _ in range(_MOST_LINKS):
        parent = os.path.realpath(path.parent)
        found = _DESCRIPTORS.fullmatch(parent)
        if found and path.name.isdecimal():
            return int(path.name) if found[1] in (None, "self", "thread-self", str(os.getpid())) else None
        if not path.is_symlink():
            return None
        path = Path(parent, path.readlink())
    return None


def _check_new(path: Path) -> None:
    """Check that a file can be made."""
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        target.parent.stat()
        return _check_writable(target.parent)
    above = next(parent for parent in path.absolute().parents if parent.exists() or parent.is_symlink())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(above))
    return _check_writable(above)


def _check_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def to_json(value: object, *, indent: int | None = None, sort_keys: bool = True) -> str:
    """Canonical JSON: sorted keys, and null for what is not finite, so that equal values give equal bytes.

    Args:
        value: plain data.
        indent: spaces of indentation.
        sort_keys: False where the order of keys says something.
    """
    return json.dumps(_finite(value), sort_keys=sort_keys, allow_nan=False, ensure_ascii=False, indent=indent)


def read_json(path: Path) -> Any:
    """Parse a JSON file, within `lastbit.storage.limits`.

    Raises:
        LastbitError: the file cannot be read, is not JSON or out of proportion; the message names it.
    """
    return parse_json(read_limited(path, MOST_JSON), path)


class DamagedError(LastbitError):
    """A file is not what was written: it was altered, cut short or lost. The message names it."""


def write_checksummed(path: Path, content: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write a JSON object with a checksum of its own, atomically.

    Args:
        path: of the file.
        content: plain JSON without a key `checksum`, which is added: SHA-256 of the canonical JSON of all the rest.
        indent: spaces of indentation; the checksum does not depend on them.
    """
    checked = {**content, _CHECKSUM: _checksum(content)}
    write_atomically(path, (to_json(checked, indent=indent) + "\n").encode())


def read_checksummed(path: Path) -> dict[str, Any]:
    """Read what `write_checksummed` wrote, without the checksum.

    Raises:
        DamagedError: the file is missing, is no JSON object, or its checksum is not there or not right.
    """
    try:
        content = read_json(path)
    except LastbitError as error:
        raise DamagedError(str(error)) from None
    if not isinstance(content, dict) or _CHECKSUM not in content:
        raise DamagedError(f"{path} has no checksum: it was altered, or made by an earlier version of lastbit")
    if content.pop(_CHECKSUM) != _checksum(content):
        raise DamagedError(f"{path} does not match its checksum: it was altered")
    return content


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def _checksum(content: Mapping[str, Any]) -> str:
    return sha256(to_json(content).encode("utf-8", "surrogatepass"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
