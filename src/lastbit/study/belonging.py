"""Whether a directory is a study's own, free for it, or another's."""

import json
import shlex
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lastbit.differing import changes
from lastbit.storage.directories import FAILURES, RESULTS, RUNNING, STUDY, TRIALS
from lastbit.storage.files import read_checksummed, to_json
from lastbit.storage.lock import is_held
from lastbit.storage.run_directory import OtherSettingsError
from lastbit.study.checkpoint import DIRECTORY as CHECKPOINT
from lastbit.study.stored_trial import DONE


class OtherStudyError(OtherSettingsError):
    """A directory holds runs of other settings than those of the study that asks for it."""

    def __init__(self, root: Path, name: object, changed: Mapping[str, str]) -> None:
        said = ", ".join(f"{setting} {values}" for setting, values in changed.items())
        super().__init__(
            f"{root} holds another study ({name}, with other settings): {said} ({since(root)}). "
            f"Old and new runs cannot be compared: {advice(root)}",
            changed,
        )


def check_same(root: Path, there: Mapping[str, Any], study: Mapping[str, Any]) -> None:
    """Check that a directory's study is this one, or that nothing has finished in it; nothing is touched.

    Raises:
        OtherStudyError: it holds runs of other settings.
    """
    if not _is_same(there, study) and _has_results(root):
        before = there.get("settings")
        changed = changes(before if isinstance(before, dict) else {}, _settings(study))
        raise OtherStudyError(root, there.get("name"), changed)


def make_room(root: Path, study: Mapping[str, Any]) -> None:
    """Remove what a study of other settings left in which nothing has finished.

    Args:
        root: a directory that is free, locked.
        study: that takes it.
    """
    if (root / STUDY).exists() and not _is_same(read_checksummed(root / STUDY), study):
        (root / RESULTS).unlink(missing_ok=True)
        for name in (FAILURES, RUNNING):
            shutil.rmtree(root / name, ignore_errors=True)


def advice(root: Path) -> str:
    """What to type where a directory's runs are in the way."""
    other, this = shlex.quote(f"{root}-2"), shlex.quote(str(root))
    return f"choose another directory (--out {other}), or give those up (rm -r {this})"


def since(root: Path) -> str:
    """Since when a study has results: when the first of its stored runs ended, to the minute."""
    times = [path.stat().st_mtime for path in (root / TRIALS).glob(f"*/{DONE}")]
    if not times:
        return "of which a run is under way"
    return f"of which the first run ended on {datetime.fromtimestamp(min(times)):%Y-%m-%d %H:%M}"


def _is_same(there: Mapping[str, Any], study: Mapping[str, Any]) -> bool:
    return bool(_settings(study) == there.get("settings"))


def _settings(study: Mapping[str, Any]) -> Any:
    return json.loads(to_json(study["settings"]))


def _has_results(root: Path) -> bool:
    """Whether a trial is stored, can be gone on with, or is still being run by an orphan."""
    kept = [*(root / TRIALS).glob(f"*/{DONE}"), *(root / RUNNING).glob(f"*/{DONE}")]
    return bool(
        kept or any((root / RUNNING).glob(f"*/{CHECKPOINT}")) or any(map(is_held, (root / RUNNING).glob("*.lock")))
    )
