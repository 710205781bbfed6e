"""Schedule-free SGD and AdamW (of the package `schedulefree`): their edge of stability and preconditioner."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from lastbit.optimizers.family import Family, Group


class ScheduleFreeSGDFamily(Family):
    """`schedulefree.SGDScheduleFree` (Defazio et al. 2024, arXiv 2405.15682), while it is in training mode.

    With b = momentum, the gradient is taken at y = (1-b) z + b x, which is what the parameters hold; z' = z - h g, and
    x' = (1-s) x + s z' averages the z with a share s of the last that falls as 1/t.
    """

    elsewhere: ClassVar = {"SGDScheduleFree": "schedulefree"}

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (2-s) / ((1-b)(2-s) + b s), with s of the last step; 2 / (1-b) in the end.

        At curvature c the step maps (z, x) by a matrix of trace 2 - s - h c (1 - b + s b) and determinant
        (1-s)(1 - h c (1-b)); 1 + trace + determinant vanishes at that h c. At s = 1 it is gradient descent.
        """
        b, s, slowed = _momentum(group), _share(group), _warm(group)
        units = 2 * (2 - s) / ((1 - b) * (2 - s) + b * s)
        return units / slowed, "2(2-s)/(((1-b)(2-s) + b s) lr): schedule-free"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2: where x follows z faster than the loss relaxes, y moves as z does, by -h g for each gradient.

        Where the average is slower than that, it is up to 2 / (1-b), as at the end of the full batch.
        """
        return 2.0 / _warm(group), "at least 2/lr: schedule-free"


class ScheduleFreeAdamWFamily(ScheduleFreeSGDFamily):
    """`schedulefree.AdamWScheduleFree`: the same with b = b1 along P^-1 g + w y, w the weight decay."""

    elsewhere: ClassVar = {"AdamWScheduleFree": "schedulefree"}

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """That of schedule-free SGD, less w: the decay adds w to every eigenvalue of P^-1 H."""
        units, source = super().edge(group, state)
        decayed = float(group["lr"]) * float(group["weight_decay"])
        # `edge_of_stability` takes from the units, as for AdamW, lr w units / 2.
        return (units - decayed) / (1 - decayed / 2), f"{source}, less w, of P^-1 H"

    def is_decoupled(self, group: Group) -> bool:
        """True: the decay is not divided by P."""
        return True

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = sqrt(v / (1 - beta2^t)) + eps after t steps, v the average of squared gradients."""
        corrected = state["exp_avg_sq"] / (1 - float(group["betas"][1]) ** int(group["k"]))
        diagonal: Tensor = corrected.sqrt() + group["eps"]
        return diagonal


def _momentum(group: Group) -> float:
    return float(group["betas"][0] if "betas" in group else group["momentum"])


def _share(group: Group) -> float:
    """The share of the last z in the average x; 1 before the first step, whose z is all there is."""
    if not group["weight_sum"]:
        return 1.0
    return float(group["k"] ** group["r"] * group["lr_max"] ** group["weight_lr_power"] / group["weight_sum"])


def _warm(group: Group) -> float:
    """What warm-up multiplied lr by at the last step."""
    return min(1.0, max(1, group["k"]) / group["warmup_steps"]) if group["warmup_steps"] else 1.0
