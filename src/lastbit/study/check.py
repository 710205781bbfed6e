"""Verifies a study's directory: every checksum, every id, nothing that does not belong; and says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.storage.directories import FAILURES, RESULTS, RUNNING, STUDY, TRIALS, held_in_words, is_drawing
from lastbit.storage.files import DamagedError, read_checksummed, to_json
from lastbit.storage.lock import LOCK, OWNER, is_held
from lastbit.study.checkpoint import DIRECTORY as CHECKPOINT
from lastbit.study.checkpoint import read_checkpoint
from lastbit.study.open_study import open_study
from lastbit.study.recorder import WEIGHTS
from lastbit.study.store import FAILURE, Store
from lastbit.study.stored_trial import DONE, FOUND, OUTPUT, StoredTrial, open_trial
from lastbit.study.trial import trial_id

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")  # the temporary names of `lastbit.storage.files`
_OWN = {STUDY, TRIALS, RUNNING, FAILURES, RESULTS, LOCK, OWNER}
_AGAIN = "then give the study's command again"


class Kind(StrEnum):
    """How bad a finding is."""

    DAMAGED = "damaged"  # a file is not what was written; it is never used
    FOREIGN = "foreign"  # something that is not the study's
    NOTE = "note"  # as it may be: after a crash, or while the study runs


@dataclass(frozen=True)
class Finding:
    """One thing that was found, and what to do about it."""

    kind: Kind
    path: Path  # below the study's directory
    what: str
    cure: str


@dataclass(frozen=True)
class Checked:
    """A study's directory after a check."""

    directory: str  # as people know it
    trials: int  # finished ones, sound or not
    files: int  # that were held against a checksum
    findings: tuple[Finding, ...]
    drawings: tuple[Path, ...] = ()  # pages and charts below the directory, which have no checksums

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged and nothing is there that is not the study's."""
        return all(finding.kind is Kind.NOTE for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        findings = [
            {"kind": str(each.kind), "path": each.path.as_posix(), "what": each.what, "cure": each.cure}
            for each in self.findings
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


def check_study(root: Path, *, on_trial: Callable[[], None] = lambda: None) -> Checked:
    """Hold every file of a study against its checksum, and every trial against its id and the study's settings.

    Nothing is changed. A page and charts are drawings of `results.json` and have no checksums.

    Args:
        root: the study's directory.
        on_trial: called after each trial.

    Raises:
        LastbitError: the directory holds no study.
    """
    if not any((root / name).exists() for name in (STUDY, TRIALS)):
        there = held_in_words(root)
        raise LastbitError(f"{root} is no study: {f'it holds {there}' if there else f'it has no {STUDY}'}")
    findings = [*_check_description(root), *_check_results(root), *_check_complete(root)]
    settings = _settings(root)
    places = _directories(root / TRIALS)
    files = 0
    for place in places:
        found, held = _check_trial(root, place, settings)
        findings += found
        files += held
        on_trial()
    findings += [*_check_failed(root), *_check_running(root), *_check_others(root)]
    return Checked(
        str(root), len(places), files, tuple(findings), tuple(path.relative_to(root) for path in _drawn(root))
    )


def verify_study(
    root: Path, *, weights: bool = True, settings: Any = None, on_trial: Callable[[], None] = lambda: None
) -> None:
    """Hold what a study's numbers rest on against its checksums, before anything is computed or drawn from it.

    Results are left out: whoever reads them does so by `Store.stored_results`.

    Args:
        root: the study's directory; nothing is to be said of one that is missing or holds no study.
        weights: whether weights, and what a script wrote, are held too.
        settings: of the study that is to go on there, which writes a missing `study.json` again; by default those of
            `study.json`.
        on_trial: called after each trial.

    Raises:
        DamagedError: a file is not what was written, or a trial is not this study's; the message says what to do.
    """
    may_be_missing = settings is not None or not (root / TRIALS).exists()
    findings = [] if may_be_missing and not (root / STUDY).exists() else [*_check_description(root)]
    known = _settings(root) if settings is None else json.loads(to_json(settings))
    for place in _directories(root / TRIALS):
        findings += [each for each in _check_trial(root, place, known, weights=weights)[0] if _matters(each, root)]
        on_trial()
    findings += [*_check_failed(root)]
    if findings:
        first, more = findings[0], len(findings) - 1
        colon = ":" if first.what.startswith("it") else ""
        others = f" names {more} more" if more else " checks the whole study"
        raise DamagedError(f"{root / first.path}{colon} {first.what}; {first.cure}; `lastbit check {root}`{others}")


def _matters(finding: Finding, root: Path) -> bool:
    """Whether numbers may be wrong for it: damage, or a trial of another study or name."""
    return finding.kind is Kind.DAMAGED or (finding.kind is Kind.FOREIGN and (root / finding.path).is_dir())


def _check_description(root: Path) -> Iterator[Finding]:
    if not (root / STUDY).exists():
        yield _finding(root, Kind.DAMAGED, root / STUDY, "it is missing", "give the study's command again")
    yield from _check_sealed(root, root / STUDY, f"delete it, {_AGAIN}: the trials are kept")


def _check_results(root: Path) -> Iterator[Finding]:
    cure = "give the study's command again: they are computed from the trials"
    if not (root / RESULTS).exists():
        yield _finding(root, Kind.NOTE, root / RESULTS, "there are no results yet", cure)
    yield from _check_sealed(root, root / RESULTS, cure)


def _check_complete(root: Path) -> Iterator[Finding]:
    """That the trials are there of which study.json speaks, where it can be read."""
    try:
        missing = len(open_study(root).pending())
    except LastbitError:
        return
    if missing:
        what = f"{missing} trial{'s are' if missing > 1 else ' is'} not stored"
        yield _finding(root, Kind.NOTE, root / TRIALS, what, "nothing: the study's command runs what is missing")


def _check_sealed(root: Path, path: Path, cure: str) -> Iterator[Finding]:
    """A JSON file with its own checksum, where it is there."""
    if not path.exists():
        return
    try:
        read_checksummed(path)
    except DamagedError as error:
        yield _finding(root, Kind.DAMAGED, path, _without(path, error), cure)


def _settings(root: Path) -> Any:
    """Those of the study; None where they cannot be known."""
    try:
        return Store(root).description().get("settings")
    except LastbitError:
        return None


def _check_trial(root: Path, place: Path, settings: Any, *, weights: bool = True) -> tuple[list[Finding], int]:
    """What is wrong with a finished trial, and how many files were held against a checksum."""
    cure = f"delete {place}, {_AGAIN}: it runs this trial anew"
    try:
        trial = open_trial(place)
    except DamagedError as error:
        return [_finding(root, Kind.DAMAGED, place / DONE, _without(place / DONE, error), cure)], 0
    findings = [
        *_check_files(root, trial, cure, weights=weights),
        *_check_sealed(root, place / FOUND, f"delete it, {_AGAIN}"),
    ]
    if not findings:
        findings = [*_check_identity(root, trial, settings)]
    return findings, 1 + len(trial.files)


def _check_files(root: Path, trial: StoredTrial, cure: str, *, weights: bool) -> Iterator[Finding]:
    for name in sorted(trial.files):
        if not weights and name.startswith((f"{WEIGHTS}/", f"{OUTPUT}/")):
            continue
        try:
            trial.read(name)
        except DamagedError as error:
            yield _finding(root, Kind.DAMAGED, trial.directory / name, _without(trial.directory / name, error), cure)
    known = {*trial.files, DONE, FOUND}
    for file in sorted(trial.directory.rglob("*")):
        if not file.is_dir() and file.relative_to(trial.directory).as_posix() not in known:
            yield _foreign(root, file)


def _check_identity(root: Path, trial: StoredTrial, settings: Any) -> Iterator[Finding]:
    """That the trial is the one its directory is named for, and one of this study."""
    content = trial.description
    identity = {key: content.get(key) for key in ("settings", "seed", "noise", "replica")}
    name = trial.directory.name
    if trial_id(identity) != name or content.get("id") != name:
        yield _finding(root, Kind.FOREIGN, trial.directory, "its name is not the id of the trial in it", _MOVE)
    elif settings is not None and identity["settings"] != settings:
        yield _finding(root, Kind.FOREIGN, trial.directory, "it is a trial of another study", _MOVE)


_MOVE = "move it out of the study"


def _check_failed(root: Path) -> Iterator[Finding]:
    for place in _directories(root / FAILURES):
        yield from _check_sealed(root, place / FAILURE, f"delete {place}, {_AGAIN}: failed trials run again")


def _check_running(root: Path) -> Iterator[Finding]:
    for place in _directories(root / RUNNING):
        if is_held(root / RUNNING / f"{place.name}.lock"):
            yield _finding(root, Kind.NOTE, place, "a trial that is running", "nothing")
            continue
        kept = "goes on from its checkpoint" if _has_checkpoint(place) else "starts anew"
        what = "a trial that was interrupted"
        yield _finding(root, Kind.NOTE, place, what, f"nothing: with the study's command it {kept}")


def _has_checkpoint(place: Path) -> bool:
    try:
        return read_checkpoint(place / CHECKPOINT) is not None
    except DamagedError:
        return False


def _check_others(root: Path) -> Iterator[Finding]:
    for path in sorted(root.iterdir()):
        if path.name not in _OWN:
            yield from (_foreign(root, each) for each in _not_drawn(path))
    for path in sorted((root / TRIALS).iterdir() if (root / TRIALS).is_dir() else []):
        if not path.is_dir():
            yield _foreign(root, path)


def _drawn(root: Path) -> list[Path]:
    """The pages and charts, and folders of them, that commands have drawn into a study's directory."""
    return [path for path in sorted(root.iterdir()) if path.name not in _OWN and is_drawing(path)]


def _not_drawn(path: Path) -> list[Path]:
    """A file or folder that no command draws, or what else there is in a folder of drawings."""
    if not is_drawing(path):
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    return [each for each in inside if each.is_dir() or not is_drawing(each)]


def _foreign(root: Path, path: Path) -> Finding:
    if _UNFINISHED.fullmatch(path.name):
        what = "a file that was being written when its process was killed"
        return _finding(root, Kind.NOTE, path, what, "it may be deleted")
    return _finding(root, Kind.FOREIGN, path, "it is not the study's", _MOVE)


def _finding(root: Path, kind: Kind, path: Path, what: str, cure: str) -> Finding:
    return Finding(kind, path.relative_to(root), what, cure)


def _without(path: Path, error: DamagedError) -> str:
    """An error's text, which begins with the path, without it and the advice to run a check."""
    return str(error).partition(";")[0].replace(f"{path} ", "", 1)


def _directories(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir())
