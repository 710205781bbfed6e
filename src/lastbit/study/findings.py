"""What a check of a study finds: one thing each, how bad it is, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lastbit.storage.files import DamagedError, read_checksummed

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")  # the temporary names of `lastbit.storage.files`
MOVE = "move it out of the study"


class Severity(StrEnum):
    """How bad a finding is."""

    DAMAGED = "damaged"  # a file is not what was written; it is never used
    FOREIGN = "foreign"  # something that is not the study's
    NOTE = "note"  # as it may be: after a crash, or while the study runs


@dataclass(frozen=True)
class Finding:
    """One thing that was found, and what to do about it."""

    kind: Severity
    path: Path  # below the study's directory
    what: str
    cure: str


@dataclass(frozen=True)
class Checked:
    """A study's directory after a check."""

    directory: str  # as people know it
    trials: int  # finished ones, sound or not
    files: int  # that were compared with a checksum
    findings: tuple[Finding, ...]
    drawings: tuple[Path, ...] = ()  # pages and charts below the directory, which have no checksums

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged and nothing is there that is not the study's."""
        return all(finding.kind is Severity.NOTE for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        findings = [
            {"kind": str(finding.kind), "path": finding.path.as_posix(), "what": finding.what, "cure": finding.cure}
            for finding in self.findings
        ]
        counts = {"trials": self.trials, "files": self.files}
        drawings = [path.as_posix() for path in self.drawings]
        return {
            "directory": self.directory,
            "sound": self.is_sound,
            **counts,
            "findings": findings,
            "drawings": drawings,
        }


def finding(root: Path, kind: Severity, path: Path, what: str, cure: str) -> Finding:
    """A finding about a path below a study's directory."""
    return Finding(kind, path.relative_to(root), what, cure)


def foreign(root: Path, path: Path) -> Finding:
    """What is to be said of a path that is not the study's."""
    if _UNFINISHED.fullmatch(path.name):
        what = "a file that was being written when its process was killed"
        return finding(root, Severity.NOTE, path, what, "it may be deleted")
    return finding(root, Severity.FOREIGN, path, "it is not the study's", MOVE)


def checksum_findings(root: Path, path: Path, cure: str) -> Iterator[Finding]:
    """A JSON file with its own checksum, where it is there."""
    if not path.exists():
        return
    try:
        read_checksummed(path)
    except DamagedError as error:
        yield finding(root, Severity.DAMAGED, path, reason(path, error), cure)


def reason(path: Path, error: DamagedError) -> str:
    """An error's text, which begins with the path, without it and the advice to run a check."""
    return str(error).partition(";")[0].replace(f"{path} ", "", 1)
