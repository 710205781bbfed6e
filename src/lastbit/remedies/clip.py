"""Gradients cut to a largest norm before each update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from lastbit.remedies.remedy import Remedy, Setting, positive


@dataclass(frozen=True)
class ClipRemedy(Remedy):
    """The gradient of all weights together is scaled down to a norm where it is longer, by torch's `clip_grad_norm_`.

    Attributes:
        norm: the largest that is let through.

    Raises:
        LastbitError: the norm is not positive and finite.
    """

    norm: float = 1.0

    name = "clip"
    main = "norm"
    help = "gradients are cut to a largest norm"
    changes = "the gradients"
    source = "Pascanu et al. 2013, arXiv 1211.5063"

    def __post_init__(self) -> None:
        positive(self.name, "norm", self.norm)

    def on_optimizer(self, optimizer: Optimizer, setting: Setting) -> Optimizer:
        """The optimizer with a hook before its steps."""
        optimizer.register_step_pre_hook(self._before_step)
        return optimizer

    def on_made(self, optimizer: Optimizer) -> None:
        """The same hook; each optimizer of a script by itself, and in each process on the gradients that this has."""
        # Fused kernels divide by a gradient scaler's scale themselves, after the hook; now the scaler does it, before.
        vars(optimizer).pop("_step_supports_amp_scaling", None)
        optimizer.register_step_pre_hook(self._before_step)

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], self.norm)
