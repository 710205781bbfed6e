"""The most memory that the training of a recipe takes: for weights, gradients, optimizer, activations and remedies."""

from __future__ import annotations

import weakref
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lastbit.training.loop import recipe_stepper
from lastbit.training.recipe import Recipe
from lastbit.training.task import Task

_STEPS = 3  # after which every buffer of an optimizer is there, and a cap has been measured


def training_memory(recipe: Recipe, task: Task) -> int:
    """The most bytes that tensors take at a time, from the making of the network to its first few updates.

    The images of the task are there before, and do not count, nor does what an operation takes inside for itself. Where
    weights and activations are what they are, so is this number: it does not depend on the machine.

    Args:
        recipe: what is trained, with its remedies.
        task: its data.

    Warns:
        UserWarning: a remedy finds nothing to change.
    """
    held = HeldTensors()
    with torch.random.fork_rng(), held:
        stepper = recipe_stepper(recipe, task)
        for batch in islice(task.batches(0), _STEPS):
            stepper.take(batch)
        return int(held.most)


class HeldTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations make while it is active, for as long as somebody holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0  # bytes
        self._known = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operation, and count the storages that it made."""
        given = {leaf.untyped_storage() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and (storage := leaf.untyped_storage()) not in given:
                self._count(storage)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._give_back, size).atexit = False

    def _give_back(self, size: int) -> None:
        self.now -= size
