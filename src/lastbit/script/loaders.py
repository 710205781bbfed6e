"""The noise of sample order, in the data loaders of somebody's program."""

from collections.abc import Callable
from typing import Any, NoReturn

from torch.utils.data import SequentialSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter

from lastbit.errors import LastbitError
from lastbit.noise import Noise


def arrange_batches(noise: Noise, on_batch: Callable[[], None], refuse: Callable[[str], NoReturn]) -> None:
    """Let every data loader made by the program hand out its batches as `noise` arranges them.

    Loaders that go through their data in order are left alone: these are for evaluation, where the order of predictions
    has a meaning. Batches are counted over all loaders, so that epochs differ.

    Args:
        noise: of which `arrange` is used.
        on_batch: called for each batch that it arranges.
        refuse: called with the reason where a batch cannot be arranged; it ends the program.
    """
    hand_out = _BaseDataLoaderIter.__next__
    handed = 0

    def arranged(loader: Any) -> Any:
        """Hand out the loader's next batch, its samples in the noise's order."""
        nonlocal handed
        batch = hand_out(loader)
        if _is_sequential(loader):
            return batch
        handed += 1
        on_batch()
        try:
            return noise.arrange(batch, handed - 1)
        except LastbitError as error:
            refuse(f"--noise order: {error}")

    _BaseDataLoaderIter.__next__ = arranged  # type: ignore[method-assign,assignment]


def _is_sequential(loader: Any) -> bool:
    sampler = getattr(loader, "_index_sampler", None)
    return isinstance(getattr(sampler, "sampler", sampler), SequentialSampler)
