"""What the noises share that act on an optimizer and let batches be."""

from typing import Any


class OptimizerNoise:
    """Base of the noises in the last bit of an optimizer's results."""

    @property
    def source(self) -> str:
        """What runs with this noise differ in."""
        return "last-bit noise"

    def arrange(self, batch: Any, step: int) -> Any:
        """The batch as it is."""
        return batch
