"""The layout of a trace's file, which `writer` writes and `reader` reads.

After eight bytes that name it, the file is a row of pieces, each with its kind, its length and a CRC-32. A header comes
first, then blocks of records, and at last, where the program came to its end, a summary. A block is a table of what is
new in it as JSON (sites, kinds of tensors, numbers, events) and columns of whole numbers, compressed together, followed
by digests, norms and sketches as they are. Sites, kinds and numbers are stored once, and then named by their place in
the order in which they came.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

MAGIC = b"LBtrace\n"
HEADER, BLOCK, END = b"HEAD", b"BLCK", b"DONE"
MOST_PIECE = 1 << 28  # bytes of a piece, and of what is compressed in it
# Columns of a block, one number for each record, each input, each number and each output in turn.
COLUMNS = ("site", "step", "inputs", "outputs", "back", "place", "number", "kind")
# `back` is how many records before this one the input was made, 0 where its origin is unknown.

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.uint32]]
Piece = tuple[bytes, memoryview, int]  # kind, content, and where in the file it ends
_PIECE = struct.Struct("<4sII")  # kind, length of the content, CRC-32 of kind and content
_FLOAT = 6  # bytes that are kept of a float64: 36 bits of its significand, a relative error of 7e-12
_LENGTHS = struct.Struct("<II")  # bytes that are compressed; bytes of JSON among them


def piece(kind: bytes, content: bytes) -> bytes:
    """A piece of the file."""
    return _PIECE.pack(kind, len(content), zlib.crc32(content, zlib.crc32(kind))) + content


def pieces(file: bytes, place: int = len(MAGIC)) -> Iterator[Piece]:
    """The whole pieces of a file behind its name, or from another place on, in order.

    It stops before the first that is cut short or does not match its checksum.
    """
    view = memoryview(file)
    while place + _PIECE.size <= len(file):
        kind, length, checksum = _PIECE.unpack_from(file, place)
        begin = place + _PIECE.size
        place = begin + length
        content = view[begin:place]
        if len(content) < length or zlib.crc32(content, zlib.crc32(kind)) != checksum:
            return
        yield kind, content, place


def is_damaged(file: bytes, place: int) -> bool:
    """Whether a file was altered behind its last whole piece, which ends at this place, and not only cut short there.

    Then the next piece is as long as it says, or whole ones follow.
    """
    if place + _PIECE.size > len(file):
        return False
    _, length, _ = _PIECE.unpack_from(file, place)
    if place + _PIECE.size + length <= len(file):
        return True
    return any(next(pieces(file, at), None) for kind in (BLOCK, END) for at in _occurrences(kind, file, place + 1))


def _occurrences(word: bytes, file: bytes, place: int) -> Iterator[int]:
    while (place := file.find(word, place)) >= 0:
        yield place
        place += 1


def pack_block(
    table: bytes, columns: Sequence[Sequence[int]], digests: Sequence[int], floats: Sequence[float]
) -> bytes:
    """The content of a block.

    Args:
        table: JSON.
        columns: as `COLUMNS` names them.
        digests: of all outputs that have one.
        floats: norm and sketch of each of those.
    """
    lengths = np.array([len(column) for column in columns], "<u4").tobytes()
    whole = np.concatenate([np.array(column, "<u4") for column in columns]).tobytes()
    packed = zlib.compress(table + lengths + whole, 1)
    bits = np.array(digests, "<u8").tobytes() + pack_floats(np.array(floats, "<f8"))
    return _LENGTHS.pack(len(packed), len(table)) + packed + bits


def unpack_block(content: memoryview) -> tuple[bytes, dict[str, Whole], memoryview]:
    """The table of a block, its columns by name, and the bytes of digests and floats.

    Raises:
        ValueError: it is not what `pack_block` gave.
    """
    try:
        size, table = _LENGTHS.unpack_from(content)
        inflate = zlib.decompressobj()
        whole = inflate.decompress(content[_LENGTHS.size : _LENGTHS.size + size], MOST_PIECE)
    except (struct.error, zlib.error) as error:
        raise ValueError(str(error)) from None
    numbers = np.frombuffer(whole, "<u4", offset=table) if (len(whole) - table) % 4 == 0 else np.zeros(0, "<u4")
    lengths = numbers[: len(COLUMNS)].astype(np.int64)
    if not inflate.eof or table > len(whole) or len(numbers) != len(COLUMNS) + lengths.sum():
        raise ValueError("a block's columns do not have the lengths that it gives")
    columns = np.split(numbers[len(COLUMNS) :], np.cumsum(lengths)[:-1])
    return whole[:table], dict(zip(COLUMNS, columns, strict=True)), content[_LENGTHS.size + size :]


def pack_floats(values: Floats) -> bytes:
    """Six bytes for each: the upper 48 of its bits, rounded."""
    return _rounded(values).view(np.uint8).reshape(-1, 8)[:, 8 - _FLOAT :].tobytes()


def unpack_floats(content: bytes | memoryview) -> Floats:
    """What `pack_floats` packed."""
    parts = np.zeros((len(content) // _FLOAT, 8), np.uint8)
    parts[:, 8 - _FLOAT :] = np.frombuffer(content, np.uint8).reshape(-1, _FLOAT)
    return parts.view("<f8").reshape(-1)


def _rounded(values: Floats) -> np.ndarray[Any, np.dtype[np.uint64]]:
    words = values.astype("<f8").view("<u8")
    half = np.uint64(1 << (8 * (8 - _FLOAT) - 1))
    # Not of infinities and NaNs, whose bits would become something else.
    return np.where(np.isfinite(values), words + half, words)
