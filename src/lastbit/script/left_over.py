"""Files that a trial read and that another trial, or somebody before it, wrote: trials may not have started alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lastbit.noise import noise_from_json
from lastbit.script.notes import NOTES, Notes, read_notes
from lastbit.storage.directories import FAILURES, TRIALS
from lastbit.storage.files import read_checksummed, read_json
from lastbit.study.store import FAILURE
from lastbit.study.stored_trial import OUTPUT, TRIAL
from lastbit.study.trial import Trial

# Endings of files from which a training continues; others, such as tables, may only be read.
_STATE = (
    *(".pt", ".pth", ".ckpt", ".bin", ".tar", ".pkl", ".pickle", ".npy", ".npz"),
    *(".safetensors", ".h5", ".msgpack", ".distcp"),
)
_NAMED = 3  # files in a sentence, of many

ADVICE = "let each run write below {trial}, which in the script's arguments is a directory of its own"


@dataclass(frozen=True)
class LeftOver:
    """A file that a run read and did not write."""

    path: str
    writer: str | None  # the run that wrote it, or during which it was written; None where it was there before

    @property
    def is_state(self) -> bool:
        """Whether its name is that of weights or other state of a training."""
        return self.path.endswith(_STATE)

    def in_words(self, directory: Path) -> str:
        """In words: `last.pt, written by the run of seed 1, k=1`."""
        path = Path(self.path)
        name = path.relative_to(directory) if path.is_relative_to(directory) else path
        return (
            f"{name}, {f'written by the run of {self.writer}' if self.writer else 'which was there before the study'}"
        )


def left_over(notes: Notes, others: Mapping[str, Notes]) -> list[LeftOver]:
    """The files that a run read and that another run wrote, or that were there before and belong to the training.

    A file that no run of the study changed, and that this one only read, is data.

    Args:
        notes: of the run.
        others: of the other runs of its study, by their label.
    """
    written = {path: writer for path in notes.read if (writer := _writer(path, notes, others))}
    mixed = {path: writer for path in notes.read_back if (writer := _beside(path, notes, others))}
    before = [LeftOver(path, None) for path in notes.read if path not in written]
    return [
        *(LeftOver(*item) for item in (written | mixed).items()),
        *(file for file in before if _continued(file, notes)),
    ]


def in_words(files: list[LeftOver], directory: Path) -> str:
    """The files in words, at most three of them."""
    words = "; ".join(file.in_words(directory) for file in files[:_NAMED])
    return f"{words} and {len(files) - _NAMED} more" if len(files) > _NAMED else words


def notes_of_study(root: Path) -> dict[str, Notes]:
    """What the processes of all trials of a study noted, stored and failed, by the trial's label."""
    return dict(_every(root))


def _continued(file: LeftOver, notes: Notes) -> bool:
    """Whether the training continued from a file: it wrote it again, or it is state and nothing was trained."""
    return notes.read[file.path] < notes.began and (file.path in notes.wrote or (file.is_state and not notes.steps))


def _writer(path: str, notes: Notes, others: Mapping[str, Notes]) -> str | None:
    """The run that had changed a file when this one first read it."""
    changed = notes.read[path]
    if changed >= notes.began:
        return _beside(path, notes, others)
    return next((label for label, other in others.items() if other.began <= changed <= other.ended), None)


def _beside(path: str, notes: Notes, others: Mapping[str, Notes]) -> str | None:
    """A run at the same time that wrote the same file."""
    return next(
        (
            label
            for label, other in others.items()
            if path in other.wrote and other.began < notes.ended and notes.began < other.ended
        ),
        None,
    )


def _every(root: Path) -> Iterator[tuple[str, Notes]]:
    for place in sorted((root / TRIALS).glob("*")):
        yield from _noted(place / OUTPUT, place / TRIAL)
    for place in sorted((root / FAILURES).glob("*")):
        yield from _noted(place, place / FAILURE)


def _noted(output: Path, description: Path) -> Iterator[tuple[str, Notes]]:
    if not (output / NOTES).is_file() or not description.is_file():
        return
    try:
        trial = read_checksummed(description) if description.name == FAILURE else read_json(description)
        label = Trial({}, trial["seed"], noise_from_json(trial["noise"]), trial["replica"]).label
        notes = read_notes(output)
    except (KeyError, TypeError, ValueError):  # damaged: reading the trial itself will report it
        return
    if notes is not None:
        yield label, notes
