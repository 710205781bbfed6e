"""Muon: its step with k, and why no sharpness is its edge of stability."""

from typing import ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.family import Family, Group, Optimizer
from lastbit.optimizers.kernels import divided


class MuonFamily(Family):
    """`torch.optim.Muon`: W' = (1 - h w) W - h D, D of spectral norm about 1, the orthogonal factor of a momentum.

    D, which torch computes in bfloat16, is divided by k in the weights' precision. Weight decay is not touched.

    As with signs (`LionFamily`), a loss that is multiplied by a number, and its Hessian with it, leads to the very same
    steps: torch divides the momentum M by its norm before it makes its singular values all but equal, between 0.7 and
    1.2. So no curvature turns them unstable, and on a quadratic they keep oscillating.

    One step raises a quadratic loss if and only if <D, HD> > 2 <G, D> / h. Where D is the orthogonal factor of G,
    <G, D> is its nuclear norm: with steps that are scaled by it, the largest <D, HD> over matrices of spectral norm 1
    has the edge 2/h (Islamov et al. 2026, arXiv 2603.05002).
    """

    classes: ClassVar = {"muon": torch.optim.Muon} if hasattr(torch.optim, "Muon") else {}
    without_edge: ClassVar = {
        "Muon": "multiplying the loss by a number changes none of its steps, so that no sharpness is its edge; a step "
        "lr D, D of spectral norm about 1, raises the loss where <D, HD> is above 2 <G, D> / lr: see "
        "lb.CriticalSharpness"
    }

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step by W <- (1 - lr w) W - (lr k) (D / k), lr with torch's factor for the shape."""
        from torch.optim import _muon  # which torch has since 2.9

        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor] = []
        optimizer._init_group(group, params, grads, buffers)  # type: ignore[attr-defined]
        lr, momentum = float(group["lr"]), group["momentum"]
        for param, grad, buffer in zip(params, grads, buffers, strict=True):
            buffer.lerp_(grad, 1 - momentum)
            along = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
            factor = _muon._zeropower_via_newtonschulz(along, group["ns_coefficients"], group["ns_steps"], group["eps"])
            step_size = _muon._adjust_lr(lr, group["adjust_lr_fn"], param.shape) * k
            param.mul_(1 - lr * group["weight_decay"])
            param.add_(divided([factor.to(param.dtype)], k, in_place=False)[0], alpha=-step_size)
