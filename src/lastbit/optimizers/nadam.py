"""NAdam: its edge of stability and preconditioner."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.family import Family, Group


class NAdamFamily(Family):
    """`torch.optim.NAdam`: Nesterov's momentum along an average, on P^-1 g, its momentum on a schedule of the steps.

    Torch steps by w' = w - h P^-1 (p g + q a'), a' = b1 a + (1-b1) g, with

        p = (1 - mu_t) / (1 - mu_1 ... mu_t),  q = mu_(t+1) / (1 - mu_1 ... mu_(t+1)),
        mu_t = b1 (1 - 0.96^(t momentum_decay) / 2),

    so that p goes to 1 - b1 and q to b1.
    """

    classes: ClassVar = {"nadam": torch.optim.NAdam}

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1+b1) / (p (1+b1) + q (1-b1)), of P^-1 H, with p and q of the last step.

        At curvature c the step maps (w, a) by a matrix of trace 1 + b1 - h c (p + q (1-b1)) and determinant
        b1 (1 - p h c); 1 + trace + determinant vanishes at that h c. In the end it is 2 (1+b1) / ((1-b1) (1+2 b1)),
        which is Nesterov's over 1 - b1, and 13.6 at b1 = 0.9; at the first step of torch's schedule it is 3.6.
        """
        beta, (p, q) = float(group["betas"][0]), _weights(group, state)
        return 2 * (1 + beta) / (p * (1 + beta) + q * (1 - beta)), "2(1+b1)/((p(1+b1) + q(1-b1)) lr), of P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 / (p + q), of P^-1 H: a gradient sums up to p + q, which is 1 in the end."""
        return 2 / sum(_weights(group, state)), "2/((p+q) lr), of P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = sqrt(v / (1 - beta2^t)) + eps after t steps, v the average of squared gradients."""
        root = state["exp_avg_sq"].sqrt() / math.sqrt(1 - float(group["betas"][1]) ** float(state["step"]))
        diagonal: Tensor = root + group["eps"]
        return diagonal


def _weights(group: Group, state: Mapping[str, Any]) -> tuple[float, float]:
    """The p and q of the last step; of the first, where there has been none."""
    beta, decay = float(group["betas"][0]), float(group["momentum_decay"])
    step = float(state.get("step", 1))
    mu, following = (beta * (1 - 0.5 * 0.96 ** (count * decay)) for count in (step, step + 1))
    product = float(state.get("mu_product", mu))
    return (1 - mu) / (1 - product), following / (1 - product * following)
