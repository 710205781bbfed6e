"""Data sets by name, verified at every load."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from lastbit.training.data.catalogue import find
from lastbit.training.data.checksum import mismatch
from lastbit.training.data.dataset import Dataset
from lastbit.training.data.entry import Entry, Home
from lastbit.training.data.errors import DamagedDataError, MissingDataError
from lastbit.training.data.idx import Bytes
from lastbit.training.data.store import data_folder, read

_DIGITS_TRAIN = 1297


def load(name: str, *, root: str | os.PathLike[str] | None = None) -> Dataset:
    """Return a data set, its arrays verified by their SHA-256.

    Nothing is fetched: a set that is not on this machine is an error whose message says what brings it.

    Args:
        name: one of the names that `lastbit data list` shows.
        root: folder of fetched sets; $LASTBIT_DATA, or else the user's cache folder, by default.

    Raises:
        LastbitError: if no data set has that name, or `root` is a file.
        MissingDataError: if it was not fetched yet.
        DamagedDataError: if what is stored is not that data set.
    """
    entry = find(name)
    return to_dataset(entry, stored_arrays(entry, root))


def stored_path(entry: Entry, root: str | os.PathLike[str] | None = None) -> Path:
    """Return where the arrays of a bundled or fetched set are, or would be."""
    match entry.home:
        case Home.BUNDLED:
            return Path(str(resources.files(__package__) / "bundled" / f"{entry.stored}.npz"))
        case Home.SCIKIT_LEARN:
            import sklearn

            return Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
        case Home.CACHE:
            return data_folder(root) / f"{entry.stored}.npz"


def stored_arrays(entry: Entry, root: str | os.PathLike[str] | None = None) -> dict[str, Bytes]:
    """Return the verified arrays of a data set, or of the set that it is a view of.

    Raises:
        MissingDataError, DamagedDataError: as `load` says.
    """
    path = stored_path(entry, root)
    if entry.home is Home.SCIKIT_LEARN:
        return _scikit_learn_digits(path, entry.digests)
    command = _fetch_command(entry, root)
    try:
        return read(path, entry.digests)
    except FileNotFoundError:
        raise MissingDataError(entry.name, path, command) from None
    except DamagedDataError as error:
        remedy = f"run `{command}` to replace it" if entry.home is Home.CACHE else "install lastbit again"
        raise DamagedDataError(path, error.reason, remedy) from None


def to_dataset(entry: Entry, arrays: Mapping[str, Bytes]) -> Dataset:
    """Return stored arrays as a data set; where there is no test set, the training set is it."""
    import torch

    test = "test" if "test_images" in arrays else "train"
    shape = (-1, *entry.shape)
    # A view is copied, or the rest of its base, 30 times as large, would stay in memory with it.
    images = arrays["train_images"][: entry.train]
    return Dataset(
        name=entry.name,
        train_images=torch.from_numpy(images.copy() if entry.base else images).view(shape),
        train_labels=torch.from_numpy(arrays["train_labels"][: entry.train]).long(),
        test_images=torch.from_numpy(arrays[f"{test}_images"]).view(shape),
        test_labels=torch.from_numpy(arrays[f"{test}_labels"]).long(),
        classes=entry.classes,
    )


def _scikit_learn_digits(path: Path, expected: Mapping[str, str]) -> dict[str, Bytes]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels, classes = images.astype(np.uint8).reshape(-1, 8, 8), labels.astype(np.uint8)
    arrays = {
        "train_images": pixels[:_DIGITS_TRAIN],
        "train_labels": classes[:_DIGITS_TRAIN],
        "test_images": pixels[_DIGITS_TRAIN:],
        "test_labels": classes[_DIGITS_TRAIN:],
    }
    if wrong := mismatch(arrays, expected):
        raise DamagedDataError(path, wrong, "install scikit-learn again")
    return arrays


def _fetch_command(entry: Entry, root: str | os.PathLike[str] | None) -> str:
    return f"lastbit data fetch {entry.name}" + (f" --root {shlex.quote(str(root))}" if root else "")
