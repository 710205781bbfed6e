"""A file that a public host offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RemoteFile:
    """A file that a public host offers."""

    url: str
    checksum: str  # "md5:..." or "sha256:..." of the file as it is served
    limit: int  # most bytes accepted

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(urlsplit(self.url).path).name
