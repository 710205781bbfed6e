"""The gradient that an optimizer descends: its sign and its coupled weight decay."""

from torch import Tensor

from lastbit.noise.kernels import Kernel


def descent(
    params: list[Tensor], grads: list[Tensor], *, maximize: bool, weight_decay: float, run: Kernel
) -> list[Tensor]:
    """Gradient, negated to maximize, plus weight_decay * parameter; `grads` itself, unchanged, if that is all it is."""
    direction = run("neg", grads) if maximize else grads
    if weight_decay != 0:
        direction = run("add" if direction is grads else "add_", direction, params, alpha=weight_decay)
    return direction
