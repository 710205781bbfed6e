"""TensorBoard's event files: the scalars and hyperparameters of a directory of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import lastbit.runs.wire as wire
from lastbit.runs.events import EventReader
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.raw import Asked, RawRuns

_CHUNK = 1 << 24  # bytes that are read at once
_HPARAMS = "_hparams_/session_start_info"
_SPLITS = ("train", "validation", "val", "valid", "test", "eval")


class EventFiles(RunFormat):
    """One run for each directory with event files; those of one directory are one run."""

    kind: ClassVar[str] = "TensorBoard"
    help: ClassVar[str] = "TensorBoard's event files"
    rank: ClassVar[int] = 3  # Lightning and Hugging Face write what they know better beside them

    def claims(self, path: Path) -> bool:
        """Whether a directory holds event files, or its parts `train` and `validation` do; or a file is one."""
        if path.is_file():
            return _is_events(path)
        return path.is_dir() and bool(_events_in(path) or any(_events_in(part) for part in _splits(path)))

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read all scalars, and the hyperparameters that were logged with them.

        A directory below is a run of its own, unless its name shows that it is a part: `train`, `validation` and the
        like, one that `add_scalars` made, or one with hyperparameters, as `add_hparams` makes it.
        """
        notes: list[str] = []
        return raw_runs(_runs_below(path, asked, notes), asked, notes=notes)


def _runs_below(path: Path, asked: Asked, notes: list[str]) -> list[LoggedRun]:
    run = LoggedRun(str(path), str(path))
    for file in [path] if path.is_file() else _events_in(path):
        if not _read_file(file, run, asked):
            notes.append(f"{file} ends within an event: it is still written, or was cut short.")
    runs = []
    for child in sorted(path.iterdir()) if path.is_dir() else ():
        for part in _runs_below(child, asked, notes) if child.is_dir() and not child.is_symlink() else ():
            prefix = f"{child.name}/" if child in _splits(path) else ""
            if prefix or part.settings or _is_of_add_scalars(part):
                run.settings = {**run.settings, **part.settings}
                run.metrics |= {f"{prefix}{name}": history for name, history in part.metrics.items()}
            else:
                runs.append(part)
    return [run, *runs] if run.metrics else runs


def _is_of_add_scalars(part: LoggedRun) -> bool:
    """Whether a directory is called like its only scalar and a name, as `add_scalars` calls it."""
    tags = [tag.replace("/", "_") for tag in part.metrics]
    return len(tags) == 1 and Path(part.name).name.startswith(f"{tags[0]}_")


def _splits(path: Path) -> list[Path]:
    return [path / name for name in _SPLITS if (path / name).is_dir()]


def _events_in(path: Path) -> list[Path]:
    return sorted(filter(_is_events, path.iterdir()))


def _is_events(path: Path) -> bool:
    return "tfevents" in path.name and path.is_file()


def _read_file(path: Path, run: LoggedRun, asked: Asked) -> bool:
    """Read a file into its run; return whether it ends where an event ends."""

    def on_other(tag: str, metadata: bytes) -> None:
        """Take hyperparameters from the start of a session."""
        if tag == _HPARAMS:
            run.settings = {**run.settings, **dict(_hparams(metadata))}

    reader = EventReader(run, on_other)
    with path.open("rb") as file:
        rest = b""
        while chunk := file.read(_CHUNK):
            rest = reader.take(rest + chunk, path)
            reader.hand_over(asked)
            asked.on_bytes(len(chunk))
    return not rest


def _hparams(metadata: bytes) -> Iterator[tuple[str, object]]:
    """The hyperparameters in the plug-in's data of a session's start."""
    for number, plugin in wire.fields(metadata):
        for field, content in wire.fields(wire.message(plugin)) if number == 1 else ():
            for part, start in wire.fields(wire.message(content)) if field == 2 else ():
                for key, entry in wire.fields(wire.message(start)) if part == 3 else ():
                    if key == 1:
                        name, value = (dict(wire.fields(wire.message(entry))).get(at, b"") for at in (1, 2))
                        yield wire.text(name), _value(wire.message(value))


def _value(message: bytes) -> object:
    """A google.protobuf.Value."""
    for number, value in wire.fields(message):
        if number == 2:
            return wire.double(value)
        if number == 3:
            return wire.text(value)
        if number == 4:
            return bool(value)
    return None
