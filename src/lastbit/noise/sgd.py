"""Perturbed SGD (paper, section 4.1): theta <- theta - (lr k) (d / k)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from lastbit.noise.descent import descent
from lastbit.noise.kernels import Kernel, batches, divided, for_loop
from lastbit.noise.perturbed import Closure, Perturbed, Scaling, evaluate, refuse_unsupported

Group = dict[str, Any]


class PerturbedSGD(Perturbed, torch.optim.SGD):
    """`torch.optim.SGD` whose direction is divided by k and whose learning rate is multiplied by k.

    The direction d is the one SGD would step along: the gradient (negated by `maximize`) plus weight decay, then the
    momentum buffer or Nesterov's look-ahead. d / k is rounded in the parameter's precision; lr k is formed in double
    and rounded to that precision where it multiplies. Neither the momentum buffer nor `p.grad` is ever divided.
    Made by `lastbit.noise.perturb`.
    """

    noise: Scaling

    @_disable_dynamo  # a compiler would contract and reorder the operations whose roundings are the point
    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step; call `closure` first, once, and return its loss."""
        loss = evaluate(closure)
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: Group) -> None:
        refuse_unsupported(group)
        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor] = []
        self._init_group(group, params, grads, buffers)  # type: ignore[no-untyped-call]
        for batch, run in batches([params, grads, buffers], prefer_foreach=group["foreach"]):
            direction, own = self._direction(batch, group, run)
            noisy = divided(direction, self.noise.k, in_place=own)
            run("add_", batch[0], noisy, alpha=-(float(group["lr"]) * self.noise.k))

    def _direction(self, batch: list[list[Tensor]], group: Group, run: Kernel) -> tuple[list[Tensor], bool]:
        """What SGD steps along, and whether its memory is nobody else's; brings the momentum buffers up to date."""
        params, grads, buffers = batch
        momentum = group["momentum"]
        maximize, weight_decay = group["maximize"], group["weight_decay"]
        along = descent(params, grads, maximize=maximize, weight_decay=weight_decay, run=run)
        own = along is not grads
        if momentum == 0:
            return along, own
        buffers = self._accumulate(params, along, buffers, group, run)
        if not group["nesterov"]:
            return buffers, False
        return run("add_" if own else "add", along, buffers, alpha=momentum), True

    def _accumulate(
        self, params: list[Tensor], grads: list[Tensor], buffers: Sequence[Tensor | None], group: Group, run: Kernel
    ) -> list[Tensor]:
        """Momentum buffers after this gradient; a parameter's first one is a copy of its gradient."""
        known = [(buffer, grad) for buffer, grad in zip(buffers, grads, strict=True) if buffer is not None]
        if known:
            # While a buffer is missing, torch's multi-tensor SGD goes one by one too, which bfloat16 bits show.
            run = run if len(known) == len(grads) else for_loop
            old, new = ([pair[i] for pair in known] for i in (0, 1))
            run("mul_", old, group["momentum"])
            run("add_", old, new, alpha=1 - group["dampening"])
        return [
            self._first_buffer(param, grad) if buffer is None else buffer
            for param, grad, buffer in zip(params, grads, buffers, strict=True)
        ]

    def _first_buffer(self, param: Tensor, grad: Tensor) -> Tensor:
        buffer: Tensor = grad.clone()
        self.state[param]["momentum_buffer"] = buffer
        return buffer
