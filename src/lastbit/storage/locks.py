"""Locks: who works in a directory, or at a trial. A lock is held until its process ends, however it does."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lastbit.errors import LastbitError
from lastbit.storage.files import read_json, to_json, write_atomically

LOCK, OWNER = ".lock", ".owner.json"
_POLL = 0.2  # seconds between two looks at a lock that another process holds


class InUseError(LastbitError):
    """Another process is at the directory."""


@contextmanager
def directory_lock(root: Path) -> Iterator[None]:
    """Hold a directory while the block runs; the system lets go of it when the process dies, however it does.

    Raises:
        InUseError: another process, or another part of this one, holds it.
    """
    lock = FileLock(root / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InUseError(
            f"{root} is in use by another run ({_owner(root)}): wait for it, stop it, or choose another directory"
        ) from None
    try:
        owner = {
            "command": _command(),
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
        }
        write_atomically(root / OWNER, to_json(owner).encode())
        yield
    finally:
        (root / OWNER).unlink(missing_ok=True)
        lock.release()


@contextmanager
def trial_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a trial while the block runs, after waiting for any other holder."""
    with FileLock(path, poll_interval=_POLL):
        yield


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock while the block runs unless another process holds it; gives whether this one does.

    Whoever holds the lock may remove its file: another process that had opened the file sees that it is gone and opens
    the path anew.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock; it may be released, or taken, the next moment.

    Nothing is written, so that a directory that is only looked at may be read-only. A lock that cannot be tested counts
    as held.
    """
    try:
        with path.open("rb") as file:
            # A shared lock needs no right to write, also where flock is emulated (NFS); closing the file releases it.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _command() -> str:
    """What this process is called: `lastbit sharpness`, or the name of the program; arguments may be private."""
    program = Path(sys.argv[0]).name if sys.argv[0] else "python"
    if program in ("lastbit", "__main__.py") and len(sys.argv) > 1:
        return f"lastbit {sys.argv[1]}"
    return program


def _owner(root: Path) -> str:
    try:
        owner = read_json(root / OWNER)
        command = f"{owner['command']}, " if "command" in owner else ""  # earlier versions did not write it
        return f"{command}process {owner['process']} on {owner['host']}, since {owner['since']}"
    except (OSError, LastbitError, KeyError, TypeError):  # it is being written, or was just removed
        return "its process is not known"
