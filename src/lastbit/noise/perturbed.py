"""What the perturbed optimizers share: how one is made from torch's, what it carries, what it refuses."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from lastbit.errors import LastbitError

Closure = Callable[[], Any]


class Labelled(Protocol):
    """What a perturbed optimizer asks of its noise."""

    @property
    def label(self) -> str:
        """The noise in a word."""


class Scaling(Labelled, Protocol):
    """What a step that divides and multiplies by k asks of its noise (`Scale` has it)."""

    @property
    def k(self) -> int:
        """The divisor of the direction and the factor of the learning rate."""


class Perturbed(torch.optim.Optimizer):
    """Base of the perturbed optimizers: a torch optimizer that carries its noise through copies and pickles.

    The noise is an attribute and no option of the parameter groups, so that state dictionaries stay torch's own: those
    of a perturbed optimizer load into torch's, and torch's into a perturbed one.
    """

    noise: Labelled
    only_adds_noise = True  # for `lastbit.steps`

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "noise": self.noise}

    def __repr__(self) -> str:
        name = type(self).__name__
        return super().__repr__().replace(f"{name} (", f"{name} (\nNoise: {self.noise.label}", 1)


def become(optimizer: torch.optim.Optimizer, twin: type[Perturbed], noise: Labelled) -> None:
    """Turn an optimizer into its perturbed twin where it stands: groups, state, defaults and hooks stay its own."""
    optimizer.__class__ = twin
    optimizer.noise = noise  # type: ignore[attr-defined]
    optimizer._patch_step_function()  # a class's step calls its hooks only once torch has wrapped it


def refuse_unsupported(group: dict[str, Any]) -> None:
    """Check the options of a parameter group.

    `fused` kernels cannot be matched: torch's CPU ones differ in bits from its other kernels (float32 Adam at lr 0.1:
    in a tenth of the weights after five steps), and no fused kernel takes a divided direction.

    Raises:
        LastbitError: `fused`, `capturable` or `differentiable` is on, an option other than lr is a tensor, or lr
            requires a gradient. Checked at each step too, for a loaded state dictionary brings its own options.
    """
    if group.get("fused"):
        raise LastbitError(
            "fused=True cannot be perturbed: torch's fused kernels round differently from all its others, so k=1 would"
            " not equal torch's optimizer; build the optimizer with fused=False"
        )
    for option in ("capturable", "differentiable"):
        if group.get(option):
            raise LastbitError(f"{option}=True cannot be perturbed; build the optimizer with {option}=False")
    for option, value in group.items():
        if option not in ("params", "lr") and _holds_tensor(value):
            raise LastbitError(f"{option}={value} cannot be perturbed; give {option} as plain numbers, not tensors")
    if isinstance(group["lr"], Tensor) and group["lr"].requires_grad:
        raise LastbitError("an lr tensor that requires grad cannot be perturbed; detach it or give lr as a number")


def evaluate(closure: Closure | None) -> Any:
    """Call the closure of `step`, with gradients on, and hand back its loss; None without a closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _holds_tensor(value: object) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value))
