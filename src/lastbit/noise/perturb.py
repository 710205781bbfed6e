"""Putting a noise on an optimizer, on a copy that shares its state or in place, and on batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise.noise import Noise

if TYPE_CHECKING:
    from torch.optim import Optimizer


def perturb(optimizer: Optimizer, noise: Noise) -> Optimizer:
    """Return an optimizer that steps like `optimizer`, disturbed by `noise`.

    The result is an ordinary `torch.optim.Optimizer` of the same class: schedulers, state dictionaries, parameter
    groups, closures, hooks, copies and pickles work. It shares its groups and its state with `optimizer`, so what was
    loaded there holds here; step only one of the two.

    `Ulp`, `Rounding` and `Operations` take any optimizer, torch's or a user's, fused, foreach or capturable, with or
    without a closure. `Operations` disturbs forward and backward passes of its weights in this thread, for as long as
    it exists. `Scale` takes the optimizers whose family in `lastbit.optimizers` defines a step with k (torch's SGD,
    Adam, AdamW, NAdam, RMSprop, Adagrad and Muon), with `fused`, `capturable` and `differentiable` off.

    Example:
        >>> import torch
        >>> from lastbit.noise import Scale
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> perturb(torch.optim.SGD([weight], lr=0.1), Scale(k=3))  # doctest: +ELLIPSIS
        PerturbedSGD (
        Noise: k=3
        ...

    Args:
        optimizer: one that the noise takes, before an lr scheduler is made for it.
        noise: for instance `Scale(k=3)`.

    Raises:
        LastbitTypeError: the noise does not take such an optimizer, or one of the two is something else.
        LastbitError: the optimizer is perturbed already, has an lr scheduler, only wraps another, or has an option or a
            parameter that is not supported.
    """
    _check(optimizer, noise)
    twin = type(optimizer).__new__(type(optimizer))
    vars(twin).update(vars(optimizer))
    noise.attach(twin)
    return twin


def install(optimizer: Optimizer, noise: Noise) -> None:
    """Put a noise on `optimizer` itself, for a program that holds the object already.

    Like `perturb`, but in place: every holder of the optimizer steps with the noise from now on. Its class becomes a
    subclass of its own; its hooks, groups and state stay, and lr schedulers, gradient scalers and wrappers made for it
    later see an ordinary optimizer. If the noise is refused, the optimizer is as it was.

    Args:
        optimizer: complete, that is after its `__init__` has returned, and before an lr scheduler is made for it.
        noise: for instance `Scale(k=3)`.

    Raises:
        LastbitTypeError, LastbitError: as `perturb` does.
    """
    _check(optimizer, noise)
    noise.attach(optimizer)


def _check(optimizer: object, noise: object) -> None:
    from torch.optim import Optimizer

    from lastbit.optimizers.perturbed import Perturbed

    if not isinstance(optimizer, Optimizer):
        raise LastbitTypeError(f"a noise is put on a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if not isinstance(noise, Noise):
        raise LastbitTypeError(f"what is put on an optimizer is a noise such as Scale(k=3), got {noise!r}")
    if not hasattr(optimizer, "_optimizer_step_post_hooks"):
        raise LastbitError(f"{type(optimizer).__name__} wraps an optimizer: put the noise on the optimizer inside")
    if isinstance(optimizer, Perturbed):
        raise LastbitError(f"the optimizer is perturbed already, by {optimizer.noise.label}; perturb torch's own once")
    if "step" in vars(optimizer):
        raise LastbitError(
            "the optimizer's step is wrapped already, as an lr scheduler does, and would pass the noise by;"
            " perturb the optimizer before making its lr scheduler"
        )


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
