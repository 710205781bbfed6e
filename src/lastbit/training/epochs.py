"""Epoch after epoch of batches, in an order that a seed alone decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lastbit.training.augment import crop_and_flip

if TYPE_CHECKING:
    from lastbit.training.task import Task

Batch = tuple[Tensor, Tensor]  # images, normalised, and labels
# Seeds of the order and of the augmentation must differ, or the two would share their random numbers.
_AUGMENTATION = 2**32


class Epochs(Iterator[Iterator[Batch]]):
    """Without end; each item gives the batches of one epoch and is to be exhausted before the next is asked for.

    Args:
        task: whose training images are dealt out.
        seed: of their order and augmentation.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self._task = task
        self._order = torch.Generator().manual_seed(seed)
        self._augmentation = torch.Generator().manual_seed(seed + _AUGMENTATION)

    def __next__(self) -> Iterator[Batch]:
        return self._batches(torch.randperm(len(self._task.train_labels), generator=self._order))

    def state_dict(self) -> dict[str, Tensor]:
        """Where the generators are; at the end of an epoch that is all there is to go on from."""
        return {"order": self._order.get_state(), "augmentation": self._augmentation.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._order.set_state(state["order"])
        self._augmentation.set_state(state["augmentation"])

    def _batches(self, order: Tensor) -> Iterator[Batch]:
        task = self._task
        for indices in torch.split(order.to(task.train_labels.device), task.batch_size):
            images = task.train_images[indices]
            if task.augment:
                images = crop_and_flip(images, self._augmentation)
            yield task.normalise(images), task.train_labels[indices]
