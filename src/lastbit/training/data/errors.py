"""What can go wrong with data sets, each in one line that a person can act on."""

from __future__ import annotations

from pathlib import Path

from lastbit.errors import LastbitError


class MissingDataError(LastbitError):
    """A data set is not on this machine yet; the message says which command fetches it."""

    def __init__(self, name: str, path: Path, command: str) -> None:
        super().__init__(f"data set {name!r} is not at {path}: run `{command}`")


class DamagedDataError(LastbitError):
    """A file does not hold the data set that it is named for, so it is not used."""

    def __init__(self, path: Path, reason: str, remedy: str = "") -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} is damaged ({reason})" + (f": {remedy}" if remedy else ""))


class SourceError(Exception):
    """One source of a data set could not deliver it; the message is the reason."""


class FetchError(OSError):
    """No source could deliver a data set; the message names each source and why it failed."""


def first_line(error: BaseException, limit: int = 160) -> str:
    """The type and the first line of an exception's message."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:limit]}" if text else type(error).__name__
