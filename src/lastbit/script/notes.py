"""What the process of a trial reports to the one that started it, and which files of other trials it read."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lastbit.storage.directories import FAILURES, TRIALS
from lastbit.storage.files import read_checksummed, read_json, to_json, write_atomically

NOTES = "notes.json"


@dataclass
class Notes:
    """What happened in the process of a trial."""

    optimizers: list[str] = field(default_factory=list)  # class names of those made, in order
    unfused: int = 0  # optimizers whose fused kernels were turned off
    steps: int = 0  # calls of an optimizer's step, over all of them
    in_turn: int = 0  # optimizers that stepped one after another, each only after the last step of the one before
    arranged: int = 0  # batches whose samples the noise put in order
    refused: str | None = None  # why the noise could not be put on an optimizer, or on a batch
    diverged_at: int | None = None  # step of the first snapshot with a weight that is not finite
    replaced: str | None = None  # the command that the process became, by os.exec*
    fault: str | None = None  # why the last weights could not be kept: a traceback
    exited: str | None = None  # x of the `sys.exit(x)` that ended it, as Python writes it
    children: list[str] = field(default_factory=list)  # processes that it started and that may have trained
    directory: str = ""  # where it was in the end
    began: int = 0  # in nanoseconds since 1970, as all times here
    ended: int = 0
    read: dict[str, int] = field(default_factory=dict)  # file that it had not written -> its last change then
    read_back: list[str] = field(default_factory=list)  # files that it had written itself
    wrote: dict[str, int] = field(default_factory=dict)  # file -> its last change
    doubts: list[str] = field(default_factory=list)  # why the trial may not have begun as others did, in words
    remarks: list[str] = field(default_factory=list)  # what else to know of the run, in words that follow "runs"
    sources: dict[str, str] = field(default_factory=dict)  # file of the script's own code -> its hash
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    rank: int | None = None  # among the processes that train together
    world: int | None = None  # how many those are
    nodes: int = 1  # machines that they are on
    names: list[str] = field(default_factory=list)  # of the weights that this rank has whole, in the end
    digest: str = ""  # of those weights
    error: str | None = None  # the traceback of what ended a process that another one of the trial started
    processes: int = 1  # of the trial that trained

    def write(self, directory: Path) -> None:
        """Leave the notes in a trial's directory of output."""
        write_atomically(directory / NOTES, to_json(asdict(self), indent=1).encode())


def read_notes(directory: Path) -> Notes | None:
    """The notes in a directory; None where the process was stopped before it could write them."""
    path = directory / NOTES
    return Notes(**read_json(path)) if path.is_file() else None


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


def name_files(files: list[LeftOver], directory: Path) -> str:
    """The files in words, at most three of them."""
    words = "; ".join(file.in_words(directory) for file in files[:_NAMED])
    return f"{words} and {len(files) - _NAMED} more" if len(files) > _NAMED else words


def notes_of_study(root: Path) -> dict[str, Notes]:
    """What the processes of all trials of a study noted, stored and failed, by the trial's label."""
    from lastbit.study.store import FAILURE
    from lastbit.study.stored_trial import OUTPUT, TRIAL

    stored = [(place / OUTPUT, place / TRIAL, read_json) for place in sorted((root / TRIALS).glob("*"))]
    failed = [(place, place / FAILURE, read_checksummed) for place in sorted((root / FAILURES).glob("*"))]
    return dict(noted for place in (*stored, *failed) if (noted := _labelled_notes(*place)) is not None)


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


def _labelled_notes(output: Path, description: Path, read: Callable[[Path], Any]) -> tuple[str, Notes] | None:
    """A trial's label and notes; None where it has none, or where they are damaged, as reading the trial will report.

    Args:
        output: the trial's directory of output.
        description: the file with its seed and noise.
        read: reads that file.
    """
    from lastbit.noise import noise_from_json  # only here: the process of a trial imports no torch before its script
    from lastbit.study.trial import Trial

    if not (output / NOTES).is_file() or not description.is_file():
        return None
    try:
        trial = read(description)
        label = Trial(
            {}, trial["seed"], noise_from_json(trial["noise"]), trial["replica"], trial.get("seeds", {})
        ).label
        notes = read_notes(output)
    except (KeyError, TypeError, ValueError):
        return None
    return None if notes is None else (label, notes)
