"""Members of tar archives, read into memory: nothing is extracted, so no path in an archive matters."""

from __future__ import annotations

import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from lastbit.errors import LastbitError


def read_members(path: Path, names: Collection[str], *, limit: int) -> dict[str, bytes]:
    """Return regular files of a tar archive, by their base names, in one pass.

    Args:
        path: the archive, of any compression `tarfile` knows.
        names: the members' full names, as the archive spells them.
        limit: most bytes a member may have.

    Raises:
        LastbitError: if a member is missing, is no regular file, or is larger than `limit`.
        tarfile.TarError, OSError, EOFError: if this is no tar archive, or a damaged one.
    """
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name in names:
                found[PurePosixPath(member.name).name] = _read(archive, member, limit)
    if missing := [name for name in names if PurePosixPath(name).name not in found]:
        raise LastbitError(f"{path.name} lacks {', '.join(missing)}")
    return found


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    if member.size > limit:
        raise LastbitError(f"{member.name} has {member.size} bytes, more than the {limit} allowed")
    handle = archive.extractfile(member) if member.isreg() else None
    if handle is None:
        raise LastbitError(f"{member.name} is not a regular file")
    return handle.read()
