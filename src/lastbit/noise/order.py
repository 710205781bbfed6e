"""Another order of summation: the samples inside each batch permuted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lastbit.noise.seeded import Seeded, stream


@dataclass(frozen=True)
class Order(Seeded):
    """The samples inside each batch change places, inputs and targets together, anew at each step.

    A mean loss, batch normalisation's statistics and all gradients are sums over the batch. Mathematically nothing
    changes; in floating point the sums are rounded in another order, as by another parallel reduction. This holds if
    the network treats all places of a batch alike. Dropout, stochastic depth and mixup draw by place: under them each
    sample gets other random numbers, which is more than rounding.

    The permutation at step t depends on the seed, t and the number of samples alone. An optimizer is left as it is.

    Attributes:
        seed: of the permutations; None leaves every batch as it is.

    Raises:
        LastbitError: the seed is no whole number from 0 to 2**63 - 1.
    """

    kind = "order"
    off = "given order"
    help = "samples permuted inside batches"
    source = "summation order"
    subject = "the order of summation"
    difference = "the order of the samples inside its batches"
    explanation = (
        "<p>The noise is another order of summation: the samples inside each batch change places (order #1, #2, …), "
        "inputs and targets together. Mathematically a batch’s loss and gradients do not depend on it; their sums are "
        "rounded differently.</p>"
    )

    def arrange(self, batch: Any, step: int) -> Any:
        """The batch with its samples permuted; see `lastbit.samples` for what a batch may be.

        Raises:
            LastbitError: the batch's parts do not have one number of samples, or it has no tensor or array.
        """
        if self.seed is None:
            return batch
        import torch

        from lastbit.samples import batch_size, taken

        return taken(batch, torch.randperm(batch_size(batch), generator=stream(self.seed, step)))
