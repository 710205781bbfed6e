"""Writes a trace while a program runs."""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.audit.generators import Generators
from lastbit.script.trace.format import BLOCK, COLUMNS, END, HEADER, MAGIC, pack_block, piece
from lastbit.script.trace.records import Origin, Site, TensorSummary, TraceEvent, TraceHeader
from lastbit.storage.files import to_json

_MOST = 4096  # records that are kept back


class TraceWriter:
    """Writes a trace: after each `flush` all that was given is in the file, whatever becomes of the process.

    Args:
        path: of the file, which is made.
        header: what was known before.

    Raises:
        LastbitError: there is a file already, or it cannot be made.
    """

    def __init__(self, path: Path, header: TraceHeader) -> None:
        try:
            # Unbuffered: a piece is handed to the system in one call, and survives the process.
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            there = error.errno == errno.EEXIST
            why = "there is a file of this name; give another, or remove it" if there else error.strerror
            raise LastbitError(f"{path} cannot be written: {why}") from None
        self._file.write(MAGIC + piece(HEADER, to_json(asdict(header)).encode()))
        self.records = 0  # the index of the next
        self._sites: dict[Site, int] = {}
        self._kinds: dict[tuple[tuple[int, ...], str, str, int], int] = {}
        self._numbers: dict[str, int] = {}
        self._clear()

    def _clear(self) -> None:
        self._table: dict[str, list[Any]] = {name: [] for name in ("sites", "kinds", "numbers", "events", "states")}
        self._columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        self._digests: list[int] = []
        self._floats: list[float] = []

    def site(self, site: Site) -> int:
        """The number by which `add` knows a site."""
        number = self._sites.get(site)
        if number is None:
            number = self._sites[site] = len(self._sites)
            self._table["sites"].append(asdict(site))
        return number

    def add(
        self,
        site: int,
        *,
        step: int,
        inputs: Sequence[Origin],
        numbers: Sequence[str],
        outputs: Sequence[TensorSummary],
    ) -> int:
        """Add a record; return its index.

        Args:
            site: as `TraceWriter.site` numbers it.
            step: optimizer steps before it.
            inputs: of its tensors.
            numbers: for the names in the site's `numbers`.
            outputs: what it changed, or made.
        """
        columns, index = self._columns, self.records
        columns["site"].append(site)
        columns["step"].append(step)
        columns["inputs"].append(len(inputs))
        columns["outputs"].append(len(outputs))
        for origin in inputs:
            made, place = (index, 0) if origin is None else origin
            columns["back"].append(index - made)
            columns["place"].append(place)
        columns["number"].extend([self._number(text) for text in numbers])
        for tensor in outputs:
            columns["kind"].append(self._kind(tensor))
            if tensor.digest is not None:
                self._digests.append(tensor.digest)
                self._floats.append(tensor.norm)
                self._floats.extend(tensor.sketch)
        self.records += 1
        if len(columns["site"]) >= _MOST:
            self.flush()
        return index

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._numbers)
            self._table["numbers"].append(text)
        return number

    def _kind(self, tensor: TensorSummary) -> int:
        kind = (tensor.shape, tensor.dtype, tensor.device, -1 if tensor.digest is None else len(tensor.sketch))
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(self._kinds)
            self._table["kinds"].append(kind)
        return number

    def event(self, kind: str, *, step: int, content: Mapping[str, Any]) -> None:
        """Add an event at this place; the content is plain JSON."""
        self._table["events"].append(asdict(TraceEvent(self.records, step, kind, content)))

    def state(self, step: int, generators: Generators) -> None:
        """Note the generators' states after so many optimizer steps."""
        self._table["states"].append([step, asdict(generators)])

    def flush(self) -> None:
        """Write what is kept back as a block.

        Raises:
            OSError: it cannot be written.
        """
        if self._columns["site"] or any(self._table.values()):
            table = to_json(self._table, sort_keys=False).encode()
            self._write(BLOCK, pack_block(table, list(self._columns.values()), self._digests, self._floats))
            self._clear()

    def end(self, unseen: Mapping[str, int]) -> None:
        """Say that the program came to its end, and close the file.

        Args:
            unseen: what was not recorded -> how many operations of it.
        """
        self.flush()
        self._write(END, to_json({"unseen": dict(unseen)}).encode())
        self._file.close()

    def _write(self, kind: bytes, content: bytes) -> None:
        rest = memoryview(piece(kind, content))
        while rest:  # the system may take less than it is given
            rest = rest[self._file.write(rest) :]
