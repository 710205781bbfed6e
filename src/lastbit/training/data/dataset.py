"""A data set in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images: pixels as stored, without normalisation."""

    name: str
    train_images: Tensor  # uint8 (n, channels, height, width)
    train_labels: Tensor  # int64 (n,), indices into classes
    test_images: Tensor  # uint8 (m, channels, height, width)
    test_labels: Tensor  # int64 (m,)
    classes: tuple[str, ...]  # their names
