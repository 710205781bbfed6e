"""What a training is given: a run with its seed, its noise and a place for its results."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from lastbit.noise import Noise


class SavedState(Protocol):
    """The state of a training after a number of updates."""

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
        """The seed of batch order, augmentation and dropout, unless these have seeds of their own."""

    @property
    def seeds(self) -> Mapping[str, int]:
        """The seed of each source of randomness by its name (`init`, `order`); empty where `seed` decides."""

    @property
    def noise(self) -> Noise:
        """The noise on the last bit of updates, or on the order of summation."""

    def log(self, step: int, **metrics: float) -> None:
        """Record numbers that belong to the state after `step` updates."""

    def snapshot(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights after `step` updates."""

    def log_predictions(self, labels: Tensor, targets: Tensor) -> None:
        """Keep the final predicted labels of the test set and its true ones, each of shape (examples,)."""

    def mark_diverged(self, step: int) -> None:
        """Record that the loss stopped being finite at `step`; this is a result, not an error."""

    def save_checkpoint(self, step: int, state: Any) -> None:
        """Keep everything that the training needs to continue from here, nested like `SavedState.state`."""

    def load_checkpoint(self) -> SavedState | None:
        """Return what an earlier attempt at this trial kept before it was killed; None if there is nothing."""
