"""A noise put on the batches of a training."""

from collections.abc import Iterable, Iterator
from typing import Any

from lastbit.noise.noise import Noise


def order_batches(batches: Iterable[Any], noise: Noise, *, start: int = 0) -> Iterator[Any]:
    """Yield each batch as the noise arranges it: in another order of its samples for `Order`, as it is for all others.

    Example:
        >>> import torch
        >>> from lastbit.noise import Order
        >>> inputs = torch.arange(4.0)
        >>> inputs, targets = next(order_batches([(inputs, 2 * inputs)], Order(seed=1)))
        >>> bool((targets == 2 * inputs).all()), inputs.sort().values.tolist()
        (True, [0.0, 1.0, 2.0, 3.0])

    Args:
        batches: for instance a `DataLoader`, whose first dimension is the sample everywhere.
        noise: any noise.
        start: batches before the first of these, for instance those of earlier epochs, so that epochs differ.

    Raises:
        LastbitError: a batch that cannot be permuted (`Order.arrange`).
    """
    for step, batch in enumerate(batches, start):
        yield noise.arrange(batch, step)
