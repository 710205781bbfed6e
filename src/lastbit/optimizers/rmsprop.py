"""RMSprop: its edge of stability and preconditioner."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.arguments import Arguments, Fraction, Positive
from lastbit.optimizers.family import Family, Group


class RMSpropArguments(Arguments):
    """Of torch's RMSprop."""

    alpha: Fraction = 0.99
    eps: Positive = 1e-8
    momentum: Fraction = 0.0
    centered: bool = False


class RMSpropFamily(Family):
    """`torch.optim.RMSprop`: heavy ball on P^-1 g, with P = sqrt(v) + eps and v the average of squared gradients."""

    classes: ClassVar = {"rmsprop": torch.optim.RMSprop}
    arguments = RMSpropArguments

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1+m): that of heavy ball, of P^-1 H."""
        return 2 * (1 + float(group["momentum"])), "2(1+m)/lr: heavy ball on P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1-m): that of heavy ball, of P^-1 H."""
        return 2 * (1 - float(group["momentum"])), "2(1-m)/lr: heavy ball on P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = sqrt(v) + eps; if `centered`, v is less the squared average gradient."""
        squares: Tensor = state["square_avg"]
        if group["centered"]:
            # As torch has it: rounding can leave a negative difference, whose root is no number.
            squares = squares.addcmul(state["grad_avg"], state["grad_avg"], value=-1)
        root: Tensor = squares.sqrt() + group["eps"]
        return root
