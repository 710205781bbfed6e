"""TensorBoard's event files: the scalars of a directory of runs.

TensorBoard's own reader builds every event as an object; 200 runs take it minutes. Here an event that differs from an
earlier one in step and value alone, as nearly all do, is taken apart by its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

import lastbit.runs.wire as wire
from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.raw import Asked, RawRuns

_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 24  # bytes that are read at once
_MOST_RECORD = 1 << 31
_HPARAMS = "_hparams_/session_start_info"
_SPLITS = ("train", "validation", "val", "valid", "test", "eval")
_TENSOR_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # of tensorflow.DataType


class _Scalar(NamedTuple):
    """A scalar as the end of its event holds it."""

    tag: str
    kind: str  # numpy's name of its type
    back: int  # where it begins, counted from the end of the event


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
    reader = _Events(run)
    with path.open("rb") as file:
        rest = b""
        while chunk := file.read(_CHUNK):
            rest = reader.take(rest + chunk, path)
            reader.hand_over(asked)
            asked.on_bytes(len(chunk))
    return not rest


class _Events:
    """Takes events apart, and gathers steps and values by tag."""

    def __init__(self, run: LoggedRun) -> None:
        self._run = run
        self._lengths: dict[bytes, int] = {}  # by the record's header, whose checksum was right
        self._known: dict[bytes, _Scalar | None] = {}  # by the bytes between step and value
        self._steps: dict[_Scalar, list[int]] = {}
        self._values: dict[_Scalar, list[bytes]] = {}

    def take(self, content: bytes, path: Path) -> bytes:
        """Take in the records that are whole; return the rest."""
        at, end, lengths = 0, len(content), self._lengths
        while at + 12 <= end:
            head = content[at : at + 12]
            length = lengths.get(head)
            if length is None:
                length = lengths[head] = _length(head, path)
            begin = at + 12
            at = begin + length + 4
            if at > end:
                return content[begin - 12 :]
            self._event(content[begin : at - 4], path)
        return content[at:]

    def _event(self, event: bytes, path: Path) -> None:
        # Field 1, the time: a key and 8 bytes. Field 2, the step: a key and a varint.
        if len(event) > 15 and event[0] == 0x09 and event[9] == 0x10:
            at, step, shift = 10, event[10] & 127, 7
            while event[at] > 127:
                at += 1
                step |= (event[at] & 127) << shift
                shift += 7
            if shift == 70:  # ten bytes: it is negative
                step = wire.signed(step)
            # As most writers end an event: key 0x15 and a float of 4 bytes.
            scalar = self._known.get(event[at + 1 : -4], ...)
            if scalar is ...:
                scalar = self._known[event[at + 1 : -4]] = _plain_scalar(event[at + 1 :])
            if scalar is not None:
                self._steps.setdefault(scalar, []).append(step)
                self._values.setdefault(scalar, []).append(event[-4:])
                return
        try:
            self._slowly(event)
        except LastbitError as error:
            raise LastbitError(f"{path} is damaged: {error}") from None

    def _slowly(self, event: bytes) -> None:
        step = 0
        for number, value in wire.fields(event):
            if number == 2:
                step = wire.signed(value)
            elif number == 5:
                for field, summary in wire.fields(wire.message(value)):
                    if field == 1:
                        self._summary(step, wire.message(summary))

    def _summary(self, step: int, summary: bytes) -> None:
        tag, value = "", None
        for number, content in wire.fields(summary):
            if number == 1:
                tag = wire.text(content)
            elif number == 2:
                value = wire.double(content)
            elif number == 8:
                value = _tensor(wire.message(content))
            elif number == 9 and tag == _HPARAMS:
                self._run.settings = {**self._run.settings, **dict(_hparams(wire.message(content)))}
        if value is not None and not tag.startswith("_hparams_"):
            scalar = _Scalar(tag, "<f8", 8)
            self._steps.setdefault(scalar, []).append(step)
            self._values.setdefault(scalar, []).append(struct.pack("<d", value))

    def hand_over(self, asked: Asked) -> None:
        """Give what was gathered to the run."""
        for scalar, steps in self._steps.items():
            values = np.frombuffer(b"".join(self._values[scalar]), scalar.kind)
            self._run.log(asked, scalar.tag, steps, values)
        self._steps, self._values = {}, {}


def _length(head: bytes, path: Path) -> int:
    length, crc = _LENGTH.unpack(head[:8])[0], int.from_bytes(head[8:], "little")
    if crc != wire.masked_crc32c(head[:8]) or length > _MOST_RECORD:
        raise LastbitError(f"{path} is no event file, or damaged: a checksum is wrong")
    return int(length)


def _plain_scalar(rest: bytes) -> _Scalar | None:
    """What an event with one scalar of 4 bytes at its end is of, given what follows its step; None for any other."""
    try:
        (number, content), *more = wire.fields(rest)
        (_, summary), *others = wire.fields(wire.message(content))
        parts = list(wire.fields(wire.message(summary)))
    except (LastbitError, ValueError):
        return None
    is_plain = number == 5 and not more and not others and [part for part, _ in parts] == [1, 2]
    value = parts[-1][1]
    return _Scalar(wire.text(parts[0][1]), "<f4", 4) if is_plain and value == rest[-4:] else None


def _tensor(message: bytes) -> float | None:
    """The number of a TensorProto with one number, as TensorFlow 2 and JAX write scalars; None for any other."""
    kind, content, number = 0, b"", None
    for field, value in wire.fields(message):
        if field == 1:
            kind = wire.signed(value)
        elif field == 4:
            content = wire.message(value)
        elif field in (5, 6):
            packed = wire.message(value)
            number = wire.double(packed) if len(packed) in (4, 8) else None
        elif field in (7, 10):
            number = float(wire.signed(wire.varint(wire.message(value), 0)[0]))
    if content and kind in _TENSOR_TYPES and len(content) == np.dtype(_TENSOR_TYPES[kind]).itemsize:
        return float(np.frombuffer(content, _TENSOR_TYPES[kind])[0])
    return number


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
