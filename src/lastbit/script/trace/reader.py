"""Reads a trace as far as it was written, with everything in it checked: it may come from anywhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from pydantic import TypeAdapter

from lastbit.errors import LastbitError
from lastbit.script.audit.batches import Batch
from lastbit.script.audit.generators import Generators
from lastbit.script.trace.format import (
    BLOCK,
    COLUMNS,
    END,
    HEADER,
    MAGIC,
    Piece,
    Whole,
    is_damaged,
    pieces,
    unpack_block,
    unpack_floats,
)
from lastbit.script.trace.records import (
    BATCH,
    FORMAT,
    RANK,
    Record,
    RunTrace,
    Site,
    TensorSummary,
    TraceEvent,
    TraceHeader,
)
from lastbit.storage.limits import OTHER_SHAPE, parse_json, read_limited

MOST_TRACE = 1 << 33  # bytes of a file
_Kind = tuple[tuple[int, ...], str, str, int]  # shape, dtype, device, length of the sketch or -1 without values
_Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class _Table:
    """What is new in a block."""

    sites: list[Site]
    kinds: list[_Kind]
    numbers: list[str]
    events: list[TraceEvent]
    states: list[tuple[int, Generators]]


_TABLE, _HEADER, _UNSEEN = TypeAdapter(_Table), TypeAdapter(TraceHeader), TypeAdapter(dict[str, int])
_BATCH = TypeAdapter(Batch)


def read_trace(path: Path) -> RunTrace:
    """Read a trace; of a recording that was killed, or a file that was damaged, what is whole from the beginning on.

    Raises:
        LastbitError: it cannot be read, is no trace, is of another format, or even its header is not whole.
    """
    file = read_limited(path, MOST_TRACE)
    if not file.startswith(MAGIC):
        cut = "it ends before its header" if file and MAGIC.startswith(file) else "lastbit audit --record makes one"
        raise LastbitError(f"{path} is {'empty' if not file else 'no trace'}: {cut}")
    whole = list(pieces(file))
    if not whole or whole[0][0] != HEADER:
        raise LastbitError(
            f"{path} ends within its header: its recording was killed, or the file cut; copy it or record it again"
        )
    try:
        trace = _trace(_header(whole[0][1], path), whole, path)
    except LastbitError:
        raise
    except (ValueError, *OTHER_SHAPE) as error:  # pydantic's among them
        why = str(error).splitlines()[0]
        raise LastbitError(f"{path} holds what no version of lastbit wrote: {why}") from None
    end = whole[-1][2]
    return replace(trace, torn=len(file) - end, damaged=is_damaged(file, end))


def _header(content: memoryview, path: Path) -> TraceHeader:
    header = parse_json(bytes(content), path)
    if header["format"] != FORMAT:
        raise LastbitError(
            f"{path} is a trace of format {header['format']}, and this version of lastbit reads format {FORMAT}:"
            " record both with the same version"
        )
    return _HEADER.validate_python(header)


def _trace(header: TraceHeader, whole: Sequence[Piece], path: Path) -> RunTrace:
    blocks, ends = _Blocks(), []
    for kind, content, _ in whole:
        if kind == BLOCK:
            blocks.add(content, path)
        elif kind == END:
            ends.append(_UNSEEN.validate_python(parse_json(bytes(content), path)["unseen"]))
    for event in blocks.events:
        if event.kind == RANK:  # known only after the header was written
            header = replace(header, rank=int(event.content["rank"]), world_size=int(event.content["world"]))
    return RunTrace(
        header=header,
        records=blocks.records(),
        generators=blocks.states,
        events=tuple(blocks.events),
        batches=tuple((e.at, _BATCH.validate_python(e.content)) for e in blocks.events if e.kind == BATCH),
        ended=bool(ends),
        unseen=ends[-1] if ends else {},
    )


class _Blocks:
    """The blocks read so far."""

    def __init__(self) -> None:
        self._sites: list[Site] = []
        self._kinds: list[_Kind] = []
        self._numbers: list[str] = []
        self.events: list[TraceEvent] = []
        self.states: dict[int, Generators] = {}
        self._columns: dict[str, list[Whole]] = {name: [np.zeros(0, "<u4")] for name in COLUMNS}
        self._digests: list[_Array] = [np.zeros(0, "<u8")]
        self._floats: list[_Array] = [np.zeros(0, "<f8")]

    def add(self, content: memoryview, path: Path) -> None:
        """Read one more."""
        text, columns, bits = unpack_block(content)
        table = _TABLE.validate_python(parse_json(text, path))
        self._sites += table.sites
        self._kinds += table.kinds
        self._numbers += table.numbers
        self.events += table.events
        self.states |= dict(table.states)
        for name, column in columns.items():
            self._columns[name].append(column)
        digests = int((self._lengths(columns["kind"]) >= 0).sum())
        self._digests.append(np.frombuffer(bits[: 8 * digests], "<u8"))
        self._floats.append(unpack_floats(bits[8 * digests :]))

    def _lengths(self, kinds: Whole) -> _Array:
        """The lengths of sketches, -1 for none."""
        return np.array([kind[-1] for kind in self._kinds] or [0], np.int64)[kinds]

    def records(self) -> "_Records":
        """All of them."""
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        return _Records(
            self._sites,
            self._kinds,
            self._numbers,
            columns,
            lengths=self._lengths(columns["kind"]),
            digests=np.concatenate(self._digests),
            floats=np.concatenate(self._floats),
        )


class _Records(Sequence[Record]):
    """The records in columns; each is put together when it is asked for."""

    def __init__(
        self,
        sites: Sequence[Site],
        kinds: Sequence[_Kind],
        numbers: Sequence[str],
        columns: Mapping[str, Whole],
        *,
        lengths: _Array,
        digests: _Array,
        floats: _Array,
    ) -> None:
        self._sites, self._kinds, self._numbers, self._columns = sites, kinds, numbers, columns
        self._digests, self._floats = digests, floats
        given = np.array([len(site.numbers) for site in sites] or [0])[columns["site"]]
        # Where each record's, and each output's, part of a column begins; the last is the column's end.
        self._inputs, self._outputs = _begins(columns["inputs"]), _begins(columns["outputs"])
        self._given = _begins(given)
        self._digest_of = _begins(lengths >= 0)
        self._floats_of = _begins(lengths + 1)
        self._check()

    def _check(self) -> None:
        """Check that all parts are there, and that none points behind what there is."""
        columns, count = self._columns, len(self._columns["site"])
        whole = (
            len(columns["step"]) == len(columns["inputs"]) == len(columns["outputs"]) == count
            and len(columns["back"]) == len(columns["place"]) == self._inputs[-1]
            and len(columns["number"]) == self._given[-1]
            and (columns["number"] < len(self._numbers)).all()
            and len(columns["kind"]) == self._outputs[-1]
            and len(self._digests) == self._digest_of[-1]
            and len(self._floats) == self._floats_of[-1]
        )
        # Only then: lengths that are not true may be out of all proportion.
        if not whole or not self._are_made_before():
            raise ValueError("its columns do not belong together")

    def _are_made_before(self) -> bool:
        """Whether each input is an output of a record before it."""
        back, place, outputs = (self._columns[name].astype(np.int64) for name in ("back", "place", "outputs"))
        maker = np.repeat(np.arange(len(outputs)), self._columns["inputs"]) - back
        return bool((maker >= 0).all() and ((back == 0) | (place < outputs[maker])).all())

    def __len__(self) -> int:
        return len(self._columns["site"])

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self._record(place) for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._record(index % len(self))

    def _record(self, index: int) -> Record:
        columns = self._columns
        inputs, given = _part(self._inputs, index), _part(self._given, index)
        origins = zip(columns["back"][inputs].tolist(), columns["place"][inputs].tolist(), strict=True)
        return Record(
            index=index,
            step=int(columns["step"][index]),
            site=self._sites[columns["site"][index]],
            inputs=tuple((index - back, place) if back else None for back, place in origins),
            numbers=tuple(self._numbers[number] for number in columns["number"][given]),
            outputs=tuple(self._tensor(output) for output in range(*self._outputs[index : index + 2])),
        )

    def _tensor(self, output: int) -> TensorSummary:
        shape, dtype, device, length = self._kinds[self._columns["kind"][output]]
        if length < 0:
            return TensorSummary(shape, dtype, device, None, math.nan, ())
        norm, *sketch = self._floats[_part(self._floats_of, output)].tolist()
        return TensorSummary(shape, dtype, device, int(self._digests[self._digest_of[output]]), norm, tuple(sketch))


def _begins(counts: _Array) -> _Array:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _part(begins: _Array, index: int) -> slice:
    return slice(begins[index], begins[index + 1])
