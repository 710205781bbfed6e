"""What a training is given: a run with its seed, its noise and a place for its results, and a device."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from lastbit.errors import LastbitError
from lastbit.noise import Noise


class SavedState(Protocol):
    """A state of a training after so many updates."""

    @property
    def step(self) -> int:
        """Updates so far."""

    @property
    def state(self) -> Any:
        """A nest of dict, list, tuple, tensors, numbers, texts and None."""


class Run(Protocol):
    """One trial as the training sees it: its seed and noise, and a place for its results."""

    @property
    def seed(self) -> int:
        """Decides batch order and augmentation."""

    @property
    def noise(self) -> Noise:
        """Disturbs the last bit of updates, or the order of summation."""

    def log(self, step: int, **metrics: float) -> None:
        """Record numbers that belong to the state after `step` updates."""

    def snapshot(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights after `step` updates."""

    def log_predictions(self, labels: Tensor, targets: Tensor) -> None:
        """Keep the final predicted labels of the test set and its true ones, each of shape (examples,)."""

    def mark_diverged(self, step: int) -> None:
        """Say that the loss stopped being finite at `step`; a result, not an error."""

    def save_checkpoint(self, step: int, state: Any) -> None:
        """Keep all that the training needs to go on from here, a nest as `SavedState.state` is."""

    def load_checkpoint(self) -> SavedState | None:
        """What an earlier attempt at this trial kept before it was killed; None where there is nothing."""


def choose_device(name: str) -> str:
    """Return a device that exists here: `auto` is CUDA where there is one, else the CPU.

    Raises:
        LastbitError: the device is unknown or not here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise LastbitError(f"device {name!r}: allowed are auto, cpu, cuda, cuda:N") from None
    if device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()):
        return name
    raise LastbitError(
        f"device {name!r} is not here: this machine has the CPU and {torch.cuda.device_count()} CUDA device(s)"
    )
