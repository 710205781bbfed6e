"""Another order of summation: the samples inside each batch permuted."""

from dataclasses import dataclass
from typing import Any

import torch

from lastbit.noise.batch import batch_size, taken
from lastbit.noise.seeded import Seeded
from lastbit.noise.stream import stream


@dataclass(frozen=True)
class Order(Seeded):
    """The samples inside each batch change places, inputs and targets together, anew at each step.

    A loss that is a mean over samples, batch normalisation's statistics and all gradients are sums over the batch:
    mathematically nothing changes, in floating point the sums are rounded in another order, as they are by another
    parallel reduction. That holds while the network treats all places of a batch alike: dropout, stochastic depth and
    mixup draw by place, so that under them each sample gets other random numbers, which is more than rounding.

    The permutation at step t depends on the seed, t and the number of samples alone. An optimizer is left as it is.

    Attributes:
        seed: of the permutations; None leaves every batch as it is.

    Raises:
        LastbitError: the seed is no whole number from 0 to 2**63 - 1.
    """

    kind = "order"
    off = "given order"

    @property
    def source(self) -> str:
        """What runs with this noise differ in."""
        return "summation order"

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the optimizer as it is: batches are what this noise acts on."""

    def arrange(self, batch: Any, step: int) -> Any:
        """The batch with its samples permuted; see `lastbit.noise.batch` for what a batch may be.

        Raises:
            LastbitError: the batch's parts do not have one number of samples, or it has no tensor or array.
        """
        if self.seed is None:
            return batch
        return taken(batch, torch.randperm(batch_size(batch), generator=stream(self.seed, step)))
