"""The wire format of protocol buffers, as far as trackers' files need it: fields by number, nothing generated.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lastbit.errors import LastbitError

Value = int | bytes
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reversed


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message in their order: numbers, and for all else the bytes.

    A number is an unsigned varint; a fixed-width value of 4 or 8 bytes comes as bytes.

    Raises:
        LastbitError: it is no message.
    """
    for number, kind, start, stop in spans(message, 0, len(message)):
        yield number, varint(message, start)[0] if kind == 0 else message[start:stop]


def spans(message: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Where the fields of a message are that stands between two places: number, wire type, first byte, and last plus 1.

    Raises:
        LastbitError: it is no message.
    """
    while at < end:
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            size = varint(message, at)[1] - at
        elif kind == 2:
            size, at = varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise LastbitError(f"a field of the unknown wire type {kind}")
        if at + size > end:
            raise LastbitError("a field is cut short")
        yield key >> 3, kind, at, at + size
        at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, and where it ends.

    Raises:
        LastbitError: it is cut short.
    """
    result = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        result |= (byte & 127) << shift
        if byte < 128:
            return result, at
        shift += 7
    raise LastbitError("a number is cut short")


def signed(number: Value) -> int:
    """An int64 as its varint holds it.

    Raises:
        LastbitError: the field holds bytes.
    """
    if isinstance(number, bytes):
        raise LastbitError("bytes where a whole number was expected")
    return number - 2**64 if number >= 2**63 else number


def message(value: Value) -> bytes:
    """The bytes of a field that holds a message or text.

    Raises:
        LastbitError: it is a number.
    """
    if isinstance(value, int):
        raise LastbitError("a number where a message was expected")
    return value


def text(value: Value) -> str:
    """The text of a field."""
    return message(value).decode("utf-8", errors="replace")


def double(value: Value) -> float:
    """The number of a field of 4 or 8 bytes, little-endian.

    Raises:
        LastbitError: it has another width.
    """
    content = message(value)
    if len(content) not in (4, 8):
        raise LastbitError(f"a floating-point number of {len(content)} bytes")
    return float(struct.unpack("<f" if len(content) == 4 else "<d", content)[0])


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()


def crc32c(content: bytes) -> int:
    """CRC-32C (Castagnoli) of a few bytes; slow for many."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def masked_crc32c(content: bytes) -> int:
    """The checksum as LevelDB's logs and TFRecord store it."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
