"""Verifies a study's directory: every checksum, every id, nothing that does not belong; and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.storage.checkpoint import DIRECTORY as CHECKPOINT
from lastbit.storage.checkpoint import read_checkpoint
from lastbit.storage.directories import FAILURES, RESULTS, RUNNING, STUDY, TRIALS, is_drawing
from lastbit.storage.files import DamagedError, to_json
from lastbit.storage.locks import LOCK, OWNER, is_held
from lastbit.study.directory import no_study
from lastbit.study.findings import MOVE, Checked, Finding, Severity, checksum_findings, finding, foreign, reason
from lastbit.study.open_study import open_study
from lastbit.study.recorder import WEIGHTS
from lastbit.study.store import FAILURE, Store
from lastbit.study.stored_trial import DONE, FOUND, OUTPUT, StoredTrial, open_trial
from lastbit.study.trial import trial_id

_OWN = {STUDY, TRIALS, RUNNING, FAILURES, RESULTS, LOCK, OWNER}
_AGAIN = "then give the study's command again"


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
        raise LastbitError(no_study(root))
    findings = [*_check_description(root), *_check_results(root), *_check_complete(root)]
    settings = _settings(root)
    places = _directories(root / TRIALS)
    files = 0
    for place in places:
        problems, held = _check_trial(root, place, settings)
        findings += problems
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

    Results are left out: `Store.stored_results` verifies them when they are read.

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
        findings += [
            finding for finding in _check_trial(root, place, known, weights=weights)[0] if _matters(finding, root)
        ]
        on_trial()
    findings += [*_check_failed(root)]
    if findings:
        first, more = findings[0], len(findings) - 1
        colon = ":" if first.what.startswith("it") else ""
        others = f" names {more} more" if more else " checks the whole study"
        raise DamagedError(f"{root / first.path}{colon} {first.what}; {first.cure}; `lastbit check {root}`{others}")


def _matters(finding: Finding, root: Path) -> bool:
    """Whether numbers may be wrong for it: damage, or a trial of another study or name."""
    return finding.kind is Severity.DAMAGED or (finding.kind is Severity.FOREIGN and (root / finding.path).is_dir())


def _check_description(root: Path) -> Iterator[Finding]:
    if not (root / STUDY).exists():
        yield finding(root, Severity.DAMAGED, root / STUDY, "it is missing", "give the study's command again")
    yield from checksum_findings(root, root / STUDY, f"delete it, {_AGAIN}: the trials are kept")


def _check_results(root: Path) -> Iterator[Finding]:
    cure = "give the study's command again: they are computed from the trials"
    if not (root / RESULTS).exists():
        yield finding(root, Severity.NOTE, root / RESULTS, "there are no results yet", cure)
    yield from checksum_findings(root, root / RESULTS, cure)


def _check_complete(root: Path) -> Iterator[Finding]:
    """That the trials are there of which study.json speaks, where it can be read."""
    try:
        missing = len(open_study(root).pending())
    except LastbitError:
        return
    if missing:
        what = f"{missing} trial{'s are' if missing > 1 else ' is'} not stored"
        yield finding(root, Severity.NOTE, root / TRIALS, what, "the study's command runs what is missing")


def _settings(root: Path) -> Any:
    """Those of the study; None where they cannot be known."""
    try:
        return Store(root).description().get("settings")
    except LastbitError:
        return None


def _check_trial(root: Path, place: Path, settings: Any, *, weights: bool = True) -> tuple[list[Finding], int]:
    """What is wrong with a finished trial, and how many files were compared with a checksum."""
    cure = f"delete {place}, {_AGAIN}: it runs this trial anew"
    try:
        trial = open_trial(place)
    except DamagedError as error:
        return [finding(root, Severity.DAMAGED, place / DONE, reason(place / DONE, error), cure)], 0
    findings = [
        *_check_files(root, trial, cure, weights=weights),
        *checksum_findings(root, place / FOUND, f"delete it, {_AGAIN}"),
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
            yield finding(root, Severity.DAMAGED, trial.directory / name, reason(trial.directory / name, error), cure)
    known = {*trial.files, DONE, FOUND}
    for file in sorted(trial.directory.rglob("*")):
        if not file.is_dir() and file.relative_to(trial.directory).as_posix() not in known:
            yield foreign(root, file)


def _check_identity(root: Path, trial: StoredTrial, settings: Any) -> Iterator[Finding]:
    """That the trial is the one its directory is named for, and one of this study."""
    content = trial.description
    name = trial.directory.name
    if trial_id(content) != name or content.get("id") != name:
        yield finding(root, Severity.FOREIGN, trial.directory, "its name is not the id of the trial in it", MOVE)
    elif settings is not None and content.get("settings") != settings:
        yield finding(root, Severity.FOREIGN, trial.directory, "it is a trial of another study", MOVE)


def _check_failed(root: Path) -> Iterator[Finding]:
    for place in _directories(root / FAILURES):
        yield from checksum_findings(root, place / FAILURE, f"delete {place}, {_AGAIN}: failed trials run again")


def _check_running(root: Path) -> Iterator[Finding]:
    for place in _directories(root / RUNNING):
        if is_held(root / RUNNING / f"{place.name}.lock"):
            yield finding(root, Severity.NOTE, place, "a trial that is running", "leave it alone")
            continue
        again = "continues it from its checkpoint" if _has_checkpoint(place) else "starts it anew"
        yield finding(root, Severity.NOTE, place, "a trial that was interrupted", f"the study's command {again}")


def _has_checkpoint(place: Path) -> bool:
    try:
        return read_checkpoint(place / CHECKPOINT) is not None
    except DamagedError:
        return False


def _check_others(root: Path) -> Iterator[Finding]:
    for path in sorted(root.iterdir()):
        if path.name not in _OWN:
            yield from (foreign(root, inner) for inner in _not_drawn(path))
    for path in sorted((root / TRIALS).iterdir() if (root / TRIALS).is_dir() else []):
        if not path.is_dir():
            yield foreign(root, path)


def _drawn(root: Path) -> list[Path]:
    """The pages and charts, and folders of them, that commands have drawn into a study's directory."""
    return [path for path in sorted(root.iterdir()) if path.name not in _OWN and is_drawing(path)]


def _not_drawn(path: Path) -> list[Path]:
    """A file or folder that no command draws, or what else there is in a folder of drawings."""
    if not is_drawing(path):
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    return [path for path in inside if path.is_dir() or not is_drawing(path)]


def _directories(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir())
