"""What the process of a trial tells the one that started it, beside the results."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lastbit.files import read_json, to_json, write_atomically

NOTES = "notes.json"


@dataclass
class Notes:
    """How a script was met."""

    optimizers: list[str] = field(default_factory=list)  # class name of each one made, in order
    unfused: int = 0  # optimizers whose fused kernels were turned off
    steps: int = 0  # calls of an optimizer's step, over all of them
    arranged: int = 0  # batches whose samples the noise put in order
    refused: str | None = None  # why the noise could not be put on an optimizer
    diverged_at: int | None = None  # step of the first snapshot with a weight that is not finite
    sources: dict[str, str] = field(default_factory=dict)  # file of the script's own code -> its hash
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Leave the notes in a trial's directory of output."""
        write_atomically(directory / NOTES, to_json(asdict(self), indent=1).encode())


def read_notes(directory: Path) -> Notes | None:
    """The notes in a directory; None where the process was stopped before it could write them."""
    path = directory / NOTES
    return Notes(**read_json(path)) if path.is_file() else None
