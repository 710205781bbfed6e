"""Downloading one file over HTTP: resumed where an earlier attempt stopped, and verified by its published checksum."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from lastbit.training.data.catalogue import SourceError, first_line

CONNECT_SECONDS = 10
READ_SECONDS = 60
CHUNK = 2**18
ATTEMPTS = 5

# Called with what is being fetched, how many bytes are here, and how many there are in all (None where unknown).
Progress = Callable[[str, int, int | None], None]

_NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError)


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


def silent(what: str, done: int, total: int | None) -> None:
    """Show no progress."""


def download(remote: RemoteFile, folder: Path, *, progress: Progress) -> Path:
    """Return the path of a file downloaded into `folder`, its checksum verified.

    What came before an interruption stays in the folder as `NAME.part`, and the next call asks for the rest only. If a
    file from two calls fails its checksum, it is downloaded once more from the beginning.

    Raises:
        SourceError: the host cannot be reached, does not have the file, ends it early again and again, or sends more
            than `remote.limit` bytes or something else.
    """
    part = folder / f"{remote.name}.part"
    resumed = part.exists()
    try:
        return _retrieve(remote, part, progress)
    except SourceError:
        if not resumed or part.exists():
            raise
        return _retrieve(remote, part, progress)


def _retrieve(remote: RemoteFile, part: Path, progress: Progress) -> Path:
    def downloader(url: str, output_file: object, pooch: object) -> None:
        """Download what is missing, in the form that pooch asks of a downloader."""
        _complete(remote, part, progress)
        part.replace(str(output_file))

    try:
        with _quiet_pooch():
            path = pooch.retrieve(remote.url, remote.checksum, remote.name, path=part.parent, downloader=downloader)
    except ValueError as error:
        raise SourceError(f"{remote.name} differs from the published file (checksum)") from error
    return Path(path)


def _complete(remote: RemoteFile, part: Path, progress: Progress) -> None:
    """Complete a partial file; after an interruption try again as long as more bytes arrive."""
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            _fill(remote, part, progress)
            return
        except _NETWORK_ERRORS as error:
            if attempt == ATTEMPTS or _size(part) <= before:
                raise SourceError(f"{remote.name}: {_reason(error)}") from error


def _fill(remote: RemoteFile, part: Path, progress: Progress) -> None:
    """Request what is missing once, and append it; urllib3 raises ProtocolError if the response ends early."""
    start = _size(part)
    progress(remote.name, start, None)
    # Identity: a host that compressed on the fly would make byte ranges and lengths mean something else.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    with requests.get(remote.url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable and start:
            part.unlink()  # no shorter than the file: not a beginning of it
            _fill(remote, part, progress)
            return
        response.raise_for_status()
        # A host that does not support ranges sends the whole file.
        ranged = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        done = start if response.status_code == requests.codes.partial_content and ranged else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        with part.open("ab" if done else "wb") as handle:
            progress(remote.name, done, total)
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                done += handle.write(chunk)
                progress(remote.name, done, total)
                if max(done, total or 0) > remote.limit:
                    part.unlink()
                    raise SourceError(f"{remote.name} has more than the {remote.limit} bytes allowed")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    match error:
        case urllib3.exceptions.ProtocolError():
            return "the connection ended early; the next try goes on from there"
        case requests.ReadTimeout() | urllib3.exceptions.ReadTimeoutError():
            return f"nothing came for {READ_SECONDS} s; the next try goes on from there"
        case requests.HTTPError(response=requests.Response() as answer):
            return f"the host answers {answer.status_code} {answer.reason}"
        case requests.ConnectTimeout():
            return f"no connection within {CONNECT_SECONDS} s"
        case requests.ConnectionError():
            return "the host cannot be reached"
        case _:
            return first_line(error)


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch's log lines out of the terminal, where the progress bar shows the same."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
