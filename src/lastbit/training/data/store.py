"""Decoded sets on disk: one uncompressed .npz a set, verified whenever it is read, never unpickled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import platformdirs

from lastbit.errors import LastbitError
from lastbit.storage.files import replacing
from lastbit.training.data.checksum import mismatch
from lastbit.training.data.errors import DamagedDataError, first_line
from lastbit.training.data.idx import Bytes

VARIABLE = "LASTBIT_DATA"


def data_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of fetched sets: `root`, else $LASTBIT_DATA, else the user's cache folder.

    Raises:
        LastbitError: if that is there and is not a folder, or can be none.
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


def write(path: Path, arrays: Mapping[str, Bytes]) -> None:
    """Write arrays to an .npz file, which appears whole or not at all."""
    with replacing(path) as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def read(path: Path, expected: Mapping[str, str]) -> dict[str, Bytes]:
    """Return the arrays of an .npz file, if they are those expected.

    Args:
        path: the file.
        expected: the checksum of each array, by name.

    Raises:
        DamagedDataError: if the file is not an .npz file or holds anything else.
        FileNotFoundError, PermissionError: as the system says.
    """
    try:
        # Opened here, because numpy leaves its own handle open when the archive turns out to be damaged.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays: dict[str, Bytes] = {name: archive[name] for name in archive.files}
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        # A damaged zip archive can fail in a dozen ways, from zlib.error to MemoryError: none is used.
        raise DamagedDataError(path, first_line(error)) from error
    if wrong := mismatch(arrays, expected):
        raise DamagedDataError(path, wrong)
    return arrays
