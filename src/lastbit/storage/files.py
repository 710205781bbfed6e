"""Files that are whole or absent: written under a temporary name, synced, renamed; and the JSON they hold."""

import errno
import hashlib
import json
import math
import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from lastbit.errors import LastbitError
from lastbit.storage.limits import MOST_JSON, parse_json, read_limited

CHECKSUM = "checksum"


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
    """Write a JSON object with its checksum, atomically.

    Args:
        path: of the file.
        content: plain JSON without a key `checksum`, which is added: SHA-256 of the canonical JSON of all the rest.
        indent: spaces of indentation; the checksum does not depend on them.
    """
    write_atomically(path, (to_json(with_checksum(content), indent=indent) + "\n").encode())


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its checksum, which `verified` takes out again."""
    return {**content, CHECKSUM: _checksum(content)}


def read_checksummed(path: Path) -> dict[str, Any]:
    """Read what `write_checksummed` wrote, without the checksum.

    Raises:
        DamagedError: the file is missing, is no JSON object, or its checksum is not there or not right.
    """
    try:
        content = read_json(path)
    except LastbitError as error:
        raise DamagedError(str(error)) from None
    return verified(content, path)


def verified(content: Any, path: Path) -> dict[str, Any]:
    """What `write_checksummed` wrote, already parsed, without the checksum.

    Args:
        content: as `read_json` gives it; the checksum is taken out of it.
        path: where it was read, for the message.

    Raises:
        DamagedError: it is no JSON object, or its checksum is not there or not right.
    """
    if not isinstance(content, dict) or CHECKSUM not in content:
        raise DamagedError(f"{path} has no checksum: it was altered, or made by an earlier version of lastbit")
    if content.pop(CHECKSUM) != _checksum(content):
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
