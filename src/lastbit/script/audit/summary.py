"""What a run says of itself at its end."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lastbit.script.audit.generators import Generators
from lastbit.storage.files import read_json, to_json, write_atomically

_FILE = "summary.json"


@dataclass(frozen=True)
class Summary:
    """One run, however far it came."""

    unseen: Mapping[str, int]  # operation -> results compared by shape alone
    unobserved: Mapping[str, int]  # what was not compared -> how often it was met
    filled: bool  # memory was allocated without values, and filled by the audit
    took_unwritten: bool  # an operation took memory nobody wrote
    suspect: int  # operations that did so, and differ
    suspicious: bool  # such a difference may have come into a result
    start: Generators  # before the program's first line
    end: Generators
    files: tuple[str, ...]  # of the user's own code, seen at work

    def write(self, directory: Path) -> None:
        """Keep it."""
        write_atomically(directory / _FILE, to_json(asdict(self)).encode())


def read_summary(directory: Path) -> Summary | None:
    """Read what `Summary.write` kept; None where the run ended without a word."""
    if not (directory / _FILE).is_file():
        return None
    data = read_json(directory / _FILE)
    data |= {name: Generators(**data[name]) for name in ("start", "end")}
    return Summary(**{**data, "files": tuple(data["files"])})
