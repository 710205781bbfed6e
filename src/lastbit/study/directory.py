"""A study's directory as a whole: whether it is a study's own, free for it, or another's, and what it says."""

import json
import shlex
import shutil
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lastbit.differing import changes
from lastbit.errors import LastbitError
from lastbit.storage.checkpoint import DIRECTORY as CHECKPOINT
from lastbit.storage.directories import FAILURES, RESULTS, RUNNING, STUDY, TRIALS, Kind, held_in_words, is_drawing
from lastbit.storage.files import DamagedError, read_checksummed, to_json, writing
from lastbit.storage.locks import LOCK, OWNER, is_held
from lastbit.storage.run_directory import OtherSettingsError, RunDirectory
from lastbit.study.stored_trial import DONE

_AGAIN = "delete it, then give the study's command again: the trials are kept"  # where study.json is damaged
_NAMED = 6  # studies in a directory that is none; of more, their number


class OtherStudyError(OtherSettingsError):
    """A directory holds runs of other settings than those of the study that asks for it."""

    def __init__(self, root: Path, name: object, changed: Mapping[str, str]) -> None:
        differences = ", ".join(f"{setting} {values}" for setting, values in changed.items())
        super().__init__(
            f"{root} holds another study ({name}, with other settings): {differences} ({since(root)}). "
            f"Old and new runs cannot be compared: {advice(root)}",
            changed,
        )


class StudyDirectory(RunDirectory):
    """A study's directory: a run directory that another study may take as long as nothing has finished in it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Kind.STUDY)

    def description(self) -> dict[str, Any]:
        """The stored description of the study.

        Raises:
            LastbitError: the directory holds no study.
        """
        if not self.is_begun():
            raise LastbitError(no_study(self.root))
        return self._read(STUDY, _AGAIN)

    def store_results(self, content: Mapping[str, Any]) -> None:
        """Store the results for reports, in place of earlier ones.

        Raises:
            LastbitError: they cannot be written.
        """
        with writing(self.root):
            self.write(RESULTS, content)

    def stored_results(self) -> dict[str, Any]:
        """The stored results.

        Raises:
            DamagedError: they are not there, or not what was written.
        """
        return self._read(RESULTS, "give the study's command again: they are computed from the trials")

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write down what the study is.

        Raises:
            LastbitError: the directory cannot be written.
        """
        with writing(self.root):
            (self.root / TRIALS).mkdir(parents=True, exist_ok=True)
        super().describe(description)

    def check_same(self, there: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Check that a directory's study has these settings, or that nothing has finished in it.

        Raises:
            OtherStudyError: it holds runs of other settings.
        """
        if not _is_same(there, description) and _has_results(self.root):
            before = there.get("settings")
            changed = changes(before if isinstance(before, dict) else {}, _settings(description))
            raise OtherStudyError(self.root, there.get("name"), changed)

    def make_room(self, description: Mapping[str, Any]) -> None:
        """Remove what a study of other settings left in which nothing has finished."""
        if (self.root / STUDY).exists() and not _is_same(read_checksummed(self.root / STUDY), description):
            (self.root / RESULTS).unlink(missing_ok=True)
            for name in (FAILURES, RUNNING):
                shutil.rmtree(self.root / name, ignore_errors=True)

    def known(self) -> set[str]:
        """What may be there without study.json: all of a study that lost it, or was killed before it was written."""
        own = {LOCK, OWNER, TRIALS}
        if not any((self.root / TRIALS).glob("*")):
            return own
        drawn = {path.name for path in self.root.iterdir() if is_drawing(path)}
        return own | drawn | {RUNNING, FAILURES, RESULTS}

    def _read(self, name: str, cure: str) -> dict[str, Any]:
        try:
            return self.read(name)
        except DamagedError as error:
            raise DamagedError(f"{error}; {cure}") from None


def no_study(place: Path) -> str:
    """Why there is no study at a place, and which ones there are: those in it, or the nearest name of a missing one."""
    if not place.exists():
        return no_directory(place)
    if inside := sorted(path.parent.name for path in place.glob(f"*/{STUDY}")):
        more = f" and {len(inside) - _NAMED} more" if len(inside) > _NAMED else ""
        those = f"the studies {', '.join(inside[:_NAMED])}{more}" if len(inside) > 1 else f"the study {inside[0]}"
        return f"{place} is no study: it holds {those}; give one, such as {place / inside[0]}"
    there = held_in_words(place) if place.is_dir() else ""
    return f"{place} is no study: {f'it holds {there}' if there else f'it has no {STUDY}'}"


def no_directory(place: Path) -> str:
    """That a directory is missing, with the nearest names beside it."""
    try:
        beside = [path.name for path in place.absolute().parent.iterdir() if path.is_dir()]
    except OSError:  # its parent is missing too, or closed
        beside = []
    close = [str(place.with_name(name)) for name in get_close_matches(place.name, beside)]
    return f"there is no directory {place}{f'; nearest is {close[0]}' if close else ''}"


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
    """Whether a trial is stored, can be continued, or is still being run by an orphan."""
    kept = [*(root / TRIALS).glob(f"*/{DONE}"), *(root / RUNNING).glob(f"*/{DONE}")]
    return bool(
        kept or any((root / RUNNING).glob(f"*/{CHECKPOINT}")) or any(map(is_held, (root / RUNNING).glob("*.lock")))
    )
