"""Locks that a process holds until it ends: on the directory of a running command, on the trial of a worker."""

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


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock; it may be released, or taken, the next moment."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
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
