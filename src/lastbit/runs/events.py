"""The events in TensorBoard's files, taken apart fast.

TensorBoard's own reader makes an object of every event. Here an event that differs from an earlier one in its time,
step and value alone, as nearly all scalars do, is taken apart by the places of its bytes; all others field by field.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import lastbit.runs.wire as wire
from lastbit.errors import LastbitError
from lastbit.runs.logged import LoggedRun
from lastbit.runs.raw import Asked

_LENGTH = struct.Struct("<Q")
_MOST_RECORD = 1 << 31
_TENSOR_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # of tensorflow.DataType
_OTHER = "<f8"  # of values that were taken apart field by field
_MOST_KNOWN = 100_000  # tags, beyond which no more are remembered


class _Scalar(NamedTuple):
    """A scalar as its event holds it."""

    tag: str
    kind: str  # numpy's name of its type
    back: int  # where its bytes begin, counted from the end of the event

    @property
    def size(self) -> int:
        """Bytes of its number."""
        return int(self.kind[-1])


class EventReader:
    """Takes events apart, and gathers steps and values by tag.

    Args:
        run: that they are of.
        on_other: called with tag and metadata of an event that holds no number.
    """

    def __init__(self, run: LoggedRun, on_other: Callable[[str, bytes], None]) -> None:
        self._run, self._on_other = run, on_other
        self._lengths: dict[bytes, int] = {}  # by the record's header, whose checksum was right
        self._shapes = [(4, 4)]  # where numbers begin, from the end, and their sizes; most writers end with a float
        self._known: dict[bytes, _Scalar] = {}  # by all bytes after the step but the number's
        self._steps: dict[_Scalar, list[int]] = {}
        self._values: dict[_Scalar, list[bytes]] = {}

    def take(self, content: bytes, path: Path) -> bytes:
        """Take in the records that are whole; return the rest.

        Raises:
            LastbitError: the file is damaged.
        """
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

    def hand_over(self, asked: Asked) -> None:
        """Give what was gathered to the run."""
        for scalar, steps in self._steps.items():
            values = np.frombuffer(b"".join(self._values[scalar]), scalar.kind)
            self._run.log(asked, scalar.tag, steps, values)
        self._steps, self._values = {}, {}

    def _event(self, event: bytes, path: Path) -> None:
        try:
            # Field 1, the time: a key and 8 bytes. Field 2, the step: a key and a varint; absent for step 0.
            if len(event) > 15 and event[0] == 0x09 and event[9] in (0x10, 0x2A):
                at, step, shift = 9, 0, 0
                if event[9] == 0x10:
                    at, step, shift = 10, event[10] & 127, 7
                    while event[at] > 127:
                        at += 1
                        step |= (event[at] & 127) << shift
                        shift += 7
                    at += 1
                # Ten bytes: it is negative.
                if self._quickly(event, at, step if shift < 70 else wire.signed(step)):
                    return
            self._slowly(event)
        except (LastbitError, IndexError) as error:
            raise LastbitError(f"{path} is damaged: {error}") from None

    def _quickly(self, event: bytes, at: int, step: int) -> bool:
        """Take a scalar whose layout is known, or becomes known now; return whether it is one."""
        end = len(event)
        for back, size in self._shapes:
            start = end - back
            scalar = self._known.get(event[at:start] + event[start + size :])
            if scalar is not None and scalar.back == back:
                break
        else:
            scalar = _scalar_of(event, at)
            if scalar is None or len(self._known) >= _MOST_KNOWN:
                return False
            start, size = end - scalar.back, scalar.size
            self._known[event[at:start] + event[start + size :]] = scalar
            if (scalar.back, size) not in self._shapes:
                self._shapes.append((scalar.back, size))
        self._steps.setdefault(scalar, []).append(step)
        self._values.setdefault(scalar, []).append(event[start : start + size])
        return True

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
        """One value of a summary; what it is called comes first in the files of all writers."""
        tag, value = "", None
        for number, content in wire.fields(summary):
            if number == 1:
                tag = wire.text(content)
            elif number == 2:
                value = wire.double(content)
            elif number == 8:
                value = _tensor(wire.message(content))
            elif number == 9:
                self._on_other(tag, wire.message(content))
        if value is not None and not tag.startswith("_hparams_"):
            scalar = _Scalar(tag, _OTHER, 0)
            self._steps.setdefault(scalar, []).append(step)
            self._values.setdefault(scalar, []).append(struct.pack("<d", value))


def _length(head: bytes, path: Path) -> int:
    length, crc = _LENGTH.unpack(head[:8])[0], int.from_bytes(head[8:], "little")
    if crc != wire.masked_crc32c(head[:8]) or length > _MOST_RECORD:
        raise LastbitError(f"{path} is no event file, or damaged: a checksum is wrong")
    return int(length)


def _scalar_of(event: bytes, at: int) -> _Scalar | None:
    """Where an event with a single number has it; None for any other.

    Args:
        event: all of it.
        at: where what follows its step begins.
    """
    summaries = list(wire.spans(event, at, len(event)))
    values = [
        (start, stop)
        for number, _, begin, end in summaries
        for part, _, start, stop in (wire.spans(event, begin, end) if number == 5 else ())
        if part == 1
    ]
    if len(summaries) != 1 or len(values) != 1:
        return None
    tag, places = "", list[tuple[str, int, int]]()
    for number, kind, start, stop in wire.spans(event, *values[0]):
        if number == 1:
            tag = wire.text(event[start:stop])
        elif number == 2 and kind == 5:
            places.append(("<f4", start, stop))
        elif number == 8:
            places += _tensor_places(event, start, stop)
    if len(places) != 1 or not tag or tag.startswith("_hparams_"):
        return None
    kind_of, start, stop = places[0]
    return _Scalar(tag, kind_of, len(event) - start) if stop - start == int(kind_of[-1]) else None


def _tensor_places(event: bytes, at: int, end: int) -> list[tuple[str, int, int]]:
    """Where a TensorProto has floating-point numbers, or the bytes of its content."""
    places, kind_of = [], 0
    for number, kind, start, stop in wire.spans(event, at, end):
        if number == 1 and kind == 0:
            kind_of = wire.varint(event, start)[0]
        elif number == 4:
            places.append((_TENSOR_TYPES.get(kind_of, "<f0"), start, stop))
        elif number in (5, 6):
            places.append(("<f4" if number == 5 else "<f8", start, stop))
        elif number not in (2, 3):  # its shape and version
            places.append(("<f0", start, stop))
    return places


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
