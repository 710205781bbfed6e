"""What the process of a trial tells the one that started it, beside the results."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lastbit.storage.files import read_json, to_json, write_atomically

NOTES = "notes.json"


@dataclass
class Notes:
    """How a script was met."""

    optimizers: list[str] = field(default_factory=list)  # class name of each one made, in order
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
    sources: dict[str, str] = field(default_factory=dict)  # file of the script's own code -> its hash
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Leave the notes in a trial's directory of output."""
        write_atomically(directory / NOTES, to_json(asdict(self), indent=1).encode())


def read_notes(directory: Path) -> Notes | None:
    """The notes in a directory; None where the process was stopped before it could write them."""
    path = directory / NOTES
    return Notes(**read_json(path)) if path.is_file() else None
