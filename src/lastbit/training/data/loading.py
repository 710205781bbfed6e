"""Data sets by name, verified at every load; and the list of them, with what is on this machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lastbit.training.data.catalogue import ENTRIES, DamagedDataError, DatasetEntry, Home, MissingDataError, find
from lastbit.training.data.store import Bytes, data_folder, mismatch, read

if TYPE_CHECKING:
    from torch import Tensor

State = Literal["bundled", "cached", "damaged", "not fetched"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images: pixels as stored, without normalisation."""

    name: str
    train_images: Tensor  # uint8 (n, channels, height, width)
    train_labels: Tensor  # int64 (n,), indices into classes
    test_images: Tensor  # uint8 (m, channels, height, width)
    test_labels: Tensor  # int64 (m,)
    classes: tuple[str, ...]  # their names


@dataclass(frozen=True)
class ListedDataset:
    """A data set as it appears in a list."""

    name: str
    train: int  # images
    test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    licence: str
    bytes: int  # of pixels and labels
    state: State
    path: Path | None  # the file it is in; None if not fetched
    note: str


def load(name: str, *, root: str | os.PathLike[str] | None = None) -> Dataset:
    """Return a data set, its arrays verified by their SHA-256.

    Nothing is fetched: for a set that is not on this machine the error gives the command that fetches it.

    Args:
        name: one of the names that `lastbit data list` shows.
        root: folder of fetched sets; $LASTBIT_DATA, or else the user's cache folder, by default.

    Raises:
        LastbitError: no data set has that name, or `root` is a file.
        MissingDataError: it was not fetched yet.
        DamagedDataError: what is stored is not that data set.
    """
    entry = find(name)
    return to_dataset(entry, stored_arrays(entry, root))


def inventory(*, root: str | os.PathLike[str] | None = None) -> list[ListedDataset]:
    """Return every data set; those on this machine are verified, each stored file once.

    Args:
        root: folder of fetched sets; $LASTBIT_DATA, or else the user's cache folder, by default.

    Raises:
        LastbitError: `root` is a file.
    """
    states: dict[Path, State] = {}
    listed = []
    for entry in ENTRIES.values():
        path = stored_path(entry, root)
        if path not in states:
            states[path] = _state(entry, root)
        same = ("name", "train", "test", "shape", "classes", "licence", "bytes", "note")
        here = None if states[path] == "not fetched" else path
        listed.append(ListedDataset(**{field: getattr(entry, field) for field in same}, state=states[path], path=here))
    return listed


def stored_path(entry: DatasetEntry, root: str | os.PathLike[str] | None = None) -> Path:
    """Return where the arrays of a bundled or fetched set are, or would be."""
    match entry.home:
        case Home.BUNDLED:
            return Path(str(resources.files(__package__) / "bundled" / f"{entry.stored}.npz"))
        case Home.SCIKIT_LEARN:
            import sklearn

            return Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
        case Home.CACHE:
            return data_folder(root) / f"{entry.stored}.npz"


def stored_arrays(entry: DatasetEntry, root: str | os.PathLike[str] | None = None) -> dict[str, Bytes]:
    """Return the verified arrays of a data set, or of the set that it is a view of.

    Raises:
        MissingDataError, DamagedDataError: as `load` says.
    """
    path = stored_path(entry, root)
    if entry.home is Home.SCIKIT_LEARN:
        return _scikit_learn_digits(path, entry)
    command = _fetch_command(entry, root)
    try:
        return read(path, entry.digests)
    except FileNotFoundError:
        raise MissingDataError(entry.name, path, command) from None
    except DamagedDataError as error:
        remedy = f"run `{command}` to replace it" if entry.home is Home.CACHE else "install lastbit again"
        raise DamagedDataError(path, error.reason, remedy) from None


def to_dataset(entry: DatasetEntry, arrays: Mapping[str, Bytes]) -> Dataset:
    """Return stored arrays as a data set; without a test set, the training set takes its place."""
    import torch

    test = "test" if "test_images" in arrays else "train"
    shape = (-1, *entry.shape)
    # A view is copied; otherwise the rest of its base, 30 times as large, would stay in memory.
    images = arrays["train_images"][: entry.train]
    return Dataset(
        name=entry.name,
        train_images=torch.from_numpy(images.copy() if entry.base else images).view(shape),
        train_labels=torch.from_numpy(arrays["train_labels"][: entry.train]).long(),
        test_images=torch.from_numpy(arrays[f"{test}_images"]).view(shape),
        test_labels=torch.from_numpy(arrays[f"{test}_labels"]).long(),
        classes=entry.classes,
    )


def _scikit_learn_digits(path: Path, entry: DatasetEntry) -> dict[str, Bytes]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels, classes = images.astype(np.uint8).reshape(-1, 8, 8), labels.astype(np.uint8)
    train = entry.train
    arrays = {
        "train_images": pixels[:train],
        "train_labels": classes[:train],
        "test_images": pixels[train:],
        "test_labels": classes[train:],
    }
    if wrong := mismatch(arrays, entry.digests):
        raise DamagedDataError(path, wrong, "install scikit-learn again")
    return arrays


def _fetch_command(entry: DatasetEntry, root: str | os.PathLike[str] | None) -> str:
    return f"lastbit data fetch {entry.name}" + (f" --root {shlex.quote(str(root))}" if root else "")


def _state(entry: DatasetEntry, root: str | os.PathLike[str] | None) -> State:
    try:
        stored_arrays(entry, root)
    except MissingDataError:
        return "not fetched"
    except DamagedDataError:
        return "damaged"
    return "cached" if entry.home is Home.CACHE else "bundled"
