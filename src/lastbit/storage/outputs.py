"""Files that a person named: written where the name leads, also to a link, a device or a descriptor."""

import errno
import os
import re
import stat
import sys
import uuid
from pathlib import Path
from typing import BinaryIO

from lastbit.storage.files import replacing, write_atomically

_DESCRIPTORS = re.compile(r"/dev/fd|/proc/(self|thread-self|[0-9]+)(/task/[0-9]+)?/fd")
_MOST_LINKS = 40  # that are followed, as Linux has it


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a person named, wherever the name leads.

    A regular file is replaced in one step and keeps its permissions, or is written in place if its directory does not
    allow replacing it. Missing directories are made. Symbolic links are followed and stay. Anything else (a device, a
    FIFO, `/dev/stdout`, the descriptor of a process substitution) is written through.

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
    """Check, as far as it can be known, that a file can be written where a person wants it; nothing is left there.

    A missing directory is no obstacle, since it is made, except behind a symbolic link. For a new file, an empty one of
    another name is made and removed: permissions allow everything to root, and file systems, as `/proc`, do not.

    Raises:
        IsADirectoryError: the path is a directory.
        PermissionError: the file, or the directory that a new one would be in, may not be written.
        OSError: links lead in a circle or to a missing directory, what should be a directory is none, or its file
            system takes no new file.
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


def _own_descriptor(path: Path) -> int | None:
    """The number of the descriptor of this process that a path names, as `/dev/stdout` does; None for others."""
    for _ in range(_MOST_LINKS):
        parent = os.path.realpath(path.parent)
        match = _DESCRIPTORS.fullmatch(parent)
        if match and path.name.isdecimal():
            return int(path.name) if match[1] in (None, "self", "thread-self", str(os.getpid())) else None
        if not path.is_symlink():
            return None
        path = Path(parent, path.readlink())
    return None


def _check_new(path: Path) -> None:
    """Check that a file can be made."""
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        target.parent.stat()
        return _check_takes_files(target.parent)
    above = next(parent for parent in path.absolute().parents if parent.exists() or parent.is_symlink())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(above))
    return _check_takes_files(above)


def _check_takes_files(directory: Path) -> None:
    _check_writable(directory)
    probe = directory / f".{uuid.uuid4().hex}"
    probe.touch(exist_ok=False)
    probe.unlink()


def _check_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
