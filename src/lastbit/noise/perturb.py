"""Putting a noise on an optimizer: on a copy that shares its state, or in place."""

import torch

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise.noise import Noise
from lastbit.noise.perturbed import Perturbed


def perturb(optimizer: torch.optim.Optimizer, noise: Noise) -> torch.optim.Optimizer:
    """Return an optimizer that steps like `optimizer`, disturbed by `noise`.

    The result is an ordinary `torch.optim.Optimizer` of the same class: schedulers, state dictionaries, parameter
    groups, closures, hooks, copies and pickles work. It shares its groups and its state with `optimizer`, so what was
    loaded there holds here; step only one of the two.

    `Ulp` and `Rounding` take any optimizer, torch's or a user's, fused, foreach or capturable, with or without a
    closure. `Scale` takes torch's SGD, Adam and AdamW themselves, with `fused`, `capturable` and `differentiable` off.

    Example:
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


def install(optimizer: torch.optim.Optimizer, noise: Noise) -> None:
    """Put a noise on `optimizer` itself, for a program that holds the object already.

    What `perturb` does, but in place: whoever holds the optimizer steps with the noise from now on. Its class becomes a
    subclass of its own; its hooks, groups and state stay, and lr schedulers, gradient scalers and wrappers made for it
    later see an ordinary optimizer. Where the noise is refused the optimizer is as it was.

    Args:
        optimizer: complete, that is after its `__init__` has returned, and before an lr scheduler is made for it.
        noise: for instance `Scale(k=3)`.

    Raises:
        TypeError, ValueError: as `perturb` does.
    """
    _check(optimizer, noise)
    noise.attach(optimizer)


def _check(optimizer: object, noise: object) -> None:
    if not isinstance(optimizer, torch.optim.Optimizer):
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
