"""A noise put on what a program makes, its optimizers and its batches, from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from lastbit.errors import LastbitError, LastbitTypeError

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lastbit.noise import Noise


class RefusedError(LastbitError):
    """A noise cannot be put on an optimizer; the message is for the person who chose both."""


def attach(optimizer: Optimizer, noise: Noise) -> bool:
    """Put `noise` on `optimizer`; return whether its fused kernels were turned off for that.

    They are turned off for every noise of a kind that does not take them, the one that changes nothing included, so
    that all trials step alike.

    Raises:
        RefusedError: the noise is not for this optimizer, or not with its options.
    """
    from lastbit.noise import install

    unfused = not noise.takes_fused and any(group.get("fused") for group in optimizer.param_groups)
    if unfused:
        for options in (*optimizer.param_groups, optimizer.defaults):
            options["fused"] = False
        # Fused kernels divide by a gradient scaler's scale themselves; without them the scaler must do it.
        vars(optimizer).pop("_step_supports_amp_scaling", None)
    try:
        install(optimizer, noise)
    except LastbitTypeError as error:
        raise RefusedError(f"--noise {noise.kind}: {error}") from None
    except LastbitError as error:
        raise RefusedError(f"the script's {type(optimizer).__name__}: {error}") from None
    return unfused


def arrange_batches(noise: Noise, on_batch: Callable[[], None], refuse: Callable[[str], NoReturn]) -> None:
    """Make every data loader of the program give its batches as `noise` arranges them.

    Loaders that go through their data in order are left alone: these are for evaluation, where the order of predictions
    has a meaning. Batches are counted over all loaders, so that epochs differ.

    Args:
        noise: of which `arrange` is used.
        on_batch: called for each batch that it arranges.
        refuse: called with the reason where a batch cannot be arranged; it ends the program.
    """
    from torch.utils.data import SequentialSampler
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    hand_out = _BaseDataLoaderIter.__next__
    handed = 0

    def arranged(loader: Any) -> Any:
        """The loader's next batch, its samples in the noise's order."""
        nonlocal handed
        batch = hand_out(loader)
        sampler = getattr(loader, "_index_sampler", None)
        if isinstance(getattr(sampler, "sampler", sampler), SequentialSampler):
            return batch
        handed += 1
        on_batch()
        try:
            return noise.arrange(batch, handed - 1)
        except LastbitError as error:
            refuse(f"--noise {noise.kind}: {error}")

    _BaseDataLoaderIter.__next__ = arranged  # type: ignore[method-assign,assignment]
