"""The image network of the second set of `rounding_or_bug.py`: separable convolutions with a gate and many switches."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

On = frozenset[str]


def silu(x: Tensor, on: On) -> Tensor:
    """The activation of both networks."""
    if "silu-by-sigmoid" in on:
        return x * x.sigmoid()
    if "silu-by-exp" in on:
        return x / (1 + (-x).exp())
    if "silu-by-tanh" in on:
        return 0.5 * x * (1 + (0.5 * x).tanh())
    if "hard-swish" in on:
        return functional.hardswish(x)  # @ hard-swish
    if "quick-gelu" in on:
        return x * (1.702 * x).sigmoid()  # @ quick-gelu
    return functional.silu(x, inplace="silu-in-place" in on)  # @ hard-swish quick-gelu


def convolved(x: Tensor, conv: nn.Conv2d, on: On) -> Tensor:
    """A convolution in several ways."""
    weight, options = conv.weight, {"stride": conv.stride, "padding": conv.padding}
    if "convolution-by-inputs" in on:
        return functional.conv2d(x[:, :2], weight[:, :2], **options) + functional.conv2d(
            x[:, 2:], weight[:, 2:], **options
        )
    if "convolution-by-outputs" in on:
        return torch.cat([functional.conv2d(x, part, **options) for part in weight.split(3)], 1)
    if "convolution-by-pictures" in on:
        return torch.cat([functional.conv2d(part, weight, **options) for part in x.split(8)])
    if "convolution-in-double" in on:
        return functional.conv2d(x.double(), weight.double(), **options).to(x.dtype)
    return conv(x)


class Images(nn.Module):
    """Classes of pictures."""

    def __init__(self, on: On, compiled: str) -> None:
        super().__init__()
        self.on = on
        self.activated: Callable[..., Tensor] = torch.compile(silu, backend=compiled) if compiled else silu
        self.stem, self.norm1 = nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.depth = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False)
        self.gate = nn.Linear(12, 12)
        self.point, self.norm2 = nn.Conv2d(12, 12, 1, bias=False), nn.BatchNorm2d(12)
        self.down, self.norm3 = nn.Conv2d(12, 16, 3, stride=2, bias=False), nn.BatchNorm2d(16)
        self.drop = nn.Dropout(0.0 if "undropped" in on else 0.1)
        self.head = nn.Linear(16, 10)
        for conv in (self.stem, self.point, self.down):
            gain = "linear" if "gain-of-linear" in on and conv is self.point else "relu"
            nn.init.kaiming_normal_(conv.weight, nonlinearity=gain)  # @ gain-of-linear
        if "weights-channels-last" in on:
            self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes."""
        on = self.on
        x = self.activated(self._normed(self.norm1, convolved(x, self.stem, on)), on)
        if "checkpointed" in on and self.training:
            x = checkpoint(self._gated, x, use_reentrant=False)  # @ checkpointed
        else:
            x = self._gated(x)  # @ checkpointed
        sides = (1, 0, 1, 0) if "padded-before" in on else (0, 1, 0, 1)
        x = convolved(functional.pad(x, sides), self.down, on)  # @ padded-before
        x = self._pooled(self.activated(self._normed(self.norm3, x), on))
        if "dropout-of-channels" in on:
            x = functional.dropout1d(x, 0.1, self.training)  # @ dropout-of-channels
        elif "dropped-by-hand" in on and self.training:
            x = x * torch.empty_like(x).bernoulli_(0.9) / 0.9
        else:
            x = self.drop(x)  # @ dropout-of-channels
        if "head-by-products" in on:
            return (x[:, None] * self.head.weight).sum(-1) + self.head.bias
        if "head-by-bmm" in on:
            return torch.baddbmm(self.head.bias, x[:, None], self.head.weight.t().expand(len(x), -1, -1)).squeeze(1)
        return self.head(x)

    def _gated(self, x: Tensor) -> Tensor:
        """The residual block."""
        on, y = self.on, self._by_depth(x)
        means = y.amax((2, 3)) if "gate-of-largest" in on else y.mean((2, 3))  # @ gate-of-largest
        if "gate-detached" in on:
            means = means.detach()  # @ gate-detached
        if "gate-by-convolution" in on:
            gate = functional.conv2d(
                means[:, :, None, None], self.gate.weight[:, :, None, None], self.gate.bias
            ).flatten(1)
        else:
            gate = self.gate(means)  # @ gate-of-largest gate-detached
        gate = functional.hardsigmoid(gate) if "gate-hard" in on else gate.sigmoid()  # @ gate-hard
        y = y * gate[:, :, None, None]  # @ gate-hard
        if "point-by-matmul" in on:
            y = torch.einsum("nchw,oc->nohw", y, self.point.weight.flatten(1))
        elif "point-by-linear" in on:
            y = functional.linear(y.permute(0, 2, 3, 1), self.point.weight.flatten(1)).permute(0, 3, 1, 2).contiguous()
        else:
            y = self.point(y)
        y = self._normed(self.norm2, y)  # @ checkpointed
        if "residual-before-norm" in on:
            return self._normed(self.norm2, x + y)  # @ residual-before-norm
        if "residual-by-root-2" in on:
            return (x + y) / math.sqrt(2)  # @ residual-by-root-2
        if "residual-in-place" in on:
            return y.add_(x)
        return x + y  # @ residual-by-root-2 residual-before-norm

    def _by_depth(self, x: Tensor) -> Tensor:
        if "depth-by-shifts" not in self.on:
            return self.depth(x)
        padded, weight = functional.pad(x, (1, 1, 1, 1)), self.depth.weight
        shifts = [(i, j) for i in range(3) for j in range(3)]
        return sum(padded[:, :, i : i + x.shape[2], j : j + x.shape[3]] * weight[:, :, i, j, None] for i, j in shifts)  # type: ignore[return-value]

    def _normed(self, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        """Batch normalisation."""
        if "norm-by-var-mean" not in self.on or not self.training:
            return norm(x)  # @ checkpointed
        variance, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
        number = x.numel() / x.shape[1]
        with torch.no_grad():
            norm.running_mean.lerp_(mean, 0.1)
            norm.running_var.lerp_(variance * (number / (number - 1)), 0.1)
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        return x * scale.view(-1, 1, 1) + (norm.bias - mean * scale).view(-1, 1, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if "pooled-adaptively" in self.on:
            return functional.adaptive_avg_pool2d(x, 1).flatten(1)
        if "pooled-by-rows" in self.on:
            return x.sum(3).sum(2) / (x.shape[2] * x.shape[3])
        if "pooled-in-double" in self.on:
            return x.double().mean((2, 3)).to(x.dtype)
        return x.mean((2, 3))
