"""The SHA-256 of decoded arrays: what every data set is verified by, wherever its bytes came from.

An array's checksum is that of its IDX form, which covers the element type, the shape and the bytes. For MNIST
and Fashion-MNIST it is therefore the widely published SHA-256 of the decompressed file, an outside witness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from lastbit.training.data.idx import Bytes, header


def digest(array: Bytes) -> str:
    """Return the SHA-256 of an array's IDX form, as hexadecimal digits.

    Raises:
        LastbitError: if the array is not of uint8.
    """
    sha = hashlib.sha256(header(array))
    sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def mismatch(arrays: Mapping[str, Bytes], expected: Mapping[str, str]) -> str | None:
    """Say what distinguishes arrays from those expected, in one line; None if nothing does.

    Args:
        arrays: the arrays, by name.
        expected: their checksums, by name; no other names may be there.
    """
    if set(arrays) != set(expected):
        return f"it holds {sorted(arrays)}, not {sorted(expected)}"
    for name, array in arrays.items():
        if array.dtype != np.uint8:
            return f"{name} is {array.dtype}, not uint8"
        if (found := digest(array)) != expected[name]:
            return f"{name} has SHA-256 {found[:12]}..., not {expected[name][:12]}..."
    return None
