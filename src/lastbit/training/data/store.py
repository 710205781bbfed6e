"""The arrays of data sets, verified by checksum and kept on disk.

On disk a set is an uncompressed .npz, verified whenever it is read and never unpickled. An array's checksum is the
SHA-256 of its IDX form, which covers the element type, the shape and the bytes, wherever they came from. For MNIST and
Fashion-MNIST it is therefore the widely published SHA-256 of the decompressed file: an independent reference.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from lastbit.errors import LastbitError
from lastbit.storage.files import replacing
from lastbit.training.data.catalogue import DamagedDataError, first_line

Bytes = NDArray[np.uint8]
Arrays = dict[str, Bytes]  # train_images, train_labels, test_images, test_labels

VARIABLE = "LASTBIT_DATA"
UINT8 = 0x08  # the type code of IDX


def data_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of fetched sets: `root`, else $LASTBIT_DATA, else the user's cache folder.

    Raises:
        LastbitError: it is a file, or its name cannot be used.
    """
    chosen = root or os.environ.get(VARIABLE) or platformdirs.user_cache_path("lastbit") / "data"
    try:
        folder = Path(chosen).expanduser().absolute()
        taken = folder.exists() and not folder.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, a user that is not known
        raise LastbitError(f"data folder {chosen} cannot be used: {getattr(error, 'strerror', error)}") from None
    if taken:
        raise LastbitError(f"data folder {folder} is a file; give a folder, or a name that is free")
    return folder


def idx_header(array: Bytes) -> bytes:
    """Return the IDX header of an array: two zeros, type code, rank, then each size as a big-endian uint32.

    Raises:
        TypeError: the array is not of uint8.
    """
    if array.dtype != np.uint8:
        raise TypeError(f"arrays of data sets are uint8, got {array.dtype}")
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, UINT8, array.ndim]) + sizes


def digest(array: Bytes) -> str:
    """Return the SHA-256 of an array's IDX form, as hexadecimal digits.

    Raises:
        TypeError: the array is not of uint8.
    """
    sha = hashlib.sha256(idx_header(array))
    sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def mismatch(arrays: Mapping[str, Bytes], expected: Mapping[str, str]) -> str | None:
    """Say in one line how arrays differ from those expected; None if they do not.

    Args:
        arrays: the arrays, by name.
        expected: their checksums, by name; no other names may be there.
    """
    if set(arrays) != set(expected):
        return f"it holds {sorted(arrays)}, not {sorted(expected)}"
    for name, array in arrays.items():
        if array.dtype != np.uint8:
            return f"{name} is {array.dtype}, not uint8"
        if (actual := digest(array)) != expected[name]:
            return f"{name} has SHA-256 {actual[:12]}..., not {expected[name][:12]}..."
    return None


def write(path: Path, arrays: Mapping[str, Bytes]) -> None:
    """Write arrays to an .npz file atomically."""
    with replacing(path) as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def read(path: Path, expected: Mapping[str, str]) -> dict[str, Bytes]:
    """Return the arrays of an .npz file, verified.

    Args:
        path: the file.
        expected: the checksum of each array, by name.

    Raises:
        DamagedDataError: the file is not an .npz file or holds anything else.
        FileNotFoundError, PermissionError: as the system says.
    """
    try:
        # Opened here, because numpy leaves its own handle open when the archive turns out to be damaged.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays: dict[str, Bytes] = {name: archive[name] for name in archive.files}
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        # A damaged zip archive can fail in a dozen ways, from zlib.error to MemoryError.
        raise DamagedDataError(path, first_line(error)) from error
    if wrong := mismatch(arrays, expected):
        raise DamagedDataError(path, wrong)
    return arrays
