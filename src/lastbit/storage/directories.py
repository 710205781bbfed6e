"""What a directory holds that a command of lastbit wrote: no command writes into what another keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError, shortened
from lastbit.storage.files import read_json
from lastbit.storage.limits import reachable

_NAMED = 3  # files or studies that a message names; of more, their number
_PICTURES = (".png", ".svg")  # every chart is written as both


class Kind(StrEnum):
    """What a command keeps in a directory, in words."""

    STUDY = "a study"
    STUDIES = "studies"
    GROWTH = "results of growth"
    COMPARISON = "a comparison"
    SHARPNESS = "a sharpness series"
    PAPER = "results of the paper"
    AUDIT = "an audit"
    PHASE = "a phase diagram"
    CHARTS = "charts"
    DATA = "data sets"


_MARKS = {
    Kind.STUDY: ("study.json",),
    Kind.GROWTH: ("growth.json",),
    Kind.COMPARISON: ("compare.json",),
    Kind.SHARPNESS: ("series.json", "sharpness.json"),
    Kind.AUDIT: ("audit.json", "lockstep"),  # the second alone where it failed or was interrupted
    Kind.PHASE: ("phase.png", "phase.svg"),
}
# The file that says what a run directory holds; RUN also says of which kind.
RUN = "run.json"
DESCRIPTIONS = dict.fromkeys(Kind, RUN) | {
    Kind.STUDY: "study.json",
    Kind.SHARPNESS: "series.json",
    Kind.PAPER: "index.json",
}
# Of a study; `lastbit.study.store` says what each is.
STUDY, TRIALS, RUNNING, RESULTS, FAILURES = "study.json", "trials", "running", "results.json", "failed"
_KEPT = (TRIALS, RUNNING, FAILURES)
_STUDY_FILES = (STUDY, RESULTS, *_KEPT)
_DRAWINGS = {Kind.PHASE, Kind.CHARTS}  # which may lie beside each other, and beside anybody's pictures


def held(directory: Path) -> dict[Kind, str]:
    """The kinds of lastbit's content in a directory, each with the names that identify it; empty if there are none."""
    if not directory.is_dir():
        return {}
    return {kind: shortened(names, _NAMED) for kind, names in _found(directory) if names}


def held_in_words(directory: Path) -> str:
    """The same in words, as `results of growth (growth.json)`; empty where a directory holds nothing of lastbit's."""
    return " and ".join(f"{kind} ({names})" for kind, names in held(directory).items())


def check_free(
    directory: Path, kind: Kind, *, known: Collection[str] | None = None, within: Path | None = None
) -> None:
    """Check that a command may write what it keeps into a directory; nothing is touched.

    Args:
        directory: new, empty, or of this kind.
        kind: of what is to be kept there.
        known: the only names that may be there; None where other people's files do not matter.
        within: a study in which this directory may lie; by default it lies in none.

    Raises:
        LastbitError: it is a file or no path, holds something of another kind or other files, or lies in a study.
    """
    if reachable(directory).exists() and not directory.is_dir():
        raise LastbitError(f"{directory} is a file: name a directory, a new or an empty one")
    for other, names in held(directory).items():
        if other is kind or {other, kind} <= _DRAWINGS:
            continue
        raise LastbitError(f"{directory} holds {other} ({names}) and cannot take {kind}: choose another directory")
    around = next((place for place in directory.resolve().parents if _is_study(place)), None)
    if around is not None and (within is None or around != within.resolve() or _is_kept(directory, around)):
        raise LastbitError(f"{directory} lies in a study, {around}, and cannot take {kind}: choose another directory")
    if known is not None and (names := shortened(_others(directory, known), _NAMED)):
        missing = kind.removeprefix("a ").removeprefix("an ")
        beside = f"beside {kind}" if kind in held(directory) else f"and no {missing}"
        raise LastbitError(f"{directory} holds other files ({names}) {beside}: choose an empty or new directory")


def check_unkept(path: Path) -> None:
    """Check that a file that an option names, such as `--json`, is none that a command of lastbit keeps.

    Raises:
        LastbitError: it is, or would be, a file of a study, of its trials, or of other results.
    """
    resolved = path.resolve()
    around = next((place for place in resolved.parents if _is_study(place)), None)
    kind = _kind_of_run(resolved) if resolved.name == RUN else None
    if around is not None and resolved.relative_to(around).parts[0] in _STUDY_FILES:
        kind = Kind.STUDY
    elif resolved.is_file() and kind is None:
        kind = next((kind for kind, marks in _MARKS.items() if resolved.name in marks and kind not in _DRAWINGS), None)
    if kind is not None:
        raise LastbitError(f"{path} is a file of {kind}, which lastbit reads again: name another file")


def is_drawing(path: Path) -> bool:
    """Whether a file is what commands draw: a page, or a chart, which is there as PNG and as SVG; a folder has some."""
    if path.is_dir():
        return any(not file.is_dir() and is_drawing(file) for file in path.iterdir())
    if path.suffix in _PICTURES:
        return all(path.with_suffix(suffix).is_file() for suffix in _PICTURES)
    return path.suffix == ".html"


def _found(directory: Path) -> Iterator[tuple[Kind, Sequence[str]]]:
    present = {kind: [name for name in marks if (directory / name).is_file()][:1] for kind, marks in _MARKS.items()}
    present[Kind.PAPER] = ["index.json"] if _is_index(directory / "index.json") else []
    if (kind := _kind_of_run(directory / RUN)) is not None:
        present[kind] = present.get(kind) or [RUN]
    yield from present.items()
    yield Kind.STUDIES, sorted(path.parent.name for path in directory.glob("*/study.json"))


def _is_study(place: Path) -> bool:
    return (place / "study.json").is_file() and (place / "trials").is_dir()


def _is_kept(directory: Path, study: Path) -> bool:
    """Whether a directory is or lies in one that a study keeps."""
    return directory.resolve().relative_to(study).parts[0] in _KEPT


def _is_index(path: Path) -> bool:
    """Whether a file of this common name is the paper's."""
    return {"scale", "items"} <= _json_object(path).keys()


def _kind_of_run(path: Path) -> Kind | None:
    """What a run directory's description says that it holds; None where the file is missing or is no description."""
    name = _json_object(path).get("kind")
    return next((kind for kind in Kind if kind.name.lower() == name), None)


def _json_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file; empty where it is missing or holds no object."""
    try:
        content = read_json(path) if path.is_file() else None
    except LastbitError:
        return {}
    return content if isinstance(content, dict) else {}


def _others(directory: Path, known: Collection[str]) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name not in known) if directory.is_dir() else []
