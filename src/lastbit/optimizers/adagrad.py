"""Adagrad: its edge of stability and preconditioner."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.family import Family, Group


class AdagradFamily(Family):
    """`torch.optim.Adagrad`: gradient descent on P^-1 g, with P from the sum of squared gradients."""

    classes: ClassVar = {"adagrad": torch.optim.Adagrad}

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, of P^-1 H: w' = w - h P^-1 H w.

        P only grows, so that curvature which stays as it is falls away from the edge as training goes on.
        """
        return 2.0, "2/lr, of P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, of P^-1 H, as that of gradient descent."""
        return 2.0, "2/lr, of P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = (1 + (t-1) lr_decay) (sqrt(sum of squares) + eps): torch divides lr by the first factor at step t."""
        slowed = 1 + (float(state["step"]) - 1) * float(group["lr_decay"])
        diagonal: Tensor = slowed * (state["sum"].sqrt() + group["eps"])
        return diagonal
