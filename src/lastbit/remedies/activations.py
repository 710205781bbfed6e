"""Activations with kinks, and the smooth ones that stand in for them.

A kinked activation is a sum of corners, r(x) = a + b x + sum_i c_i max(0, x - t_i). Its stand-in has a smooth function
f in place of max(0, x), and so the same slopes far from the corners:

    s(x) = a + b x + sum_i c_i f(x - t_i)

Each f has a width w, f(x) = w g(x / w), over which its slope rises from 0 to 1:

- `silu`: g(x) = x / (1 + exp(-x)) (Elfwing et al. 2018; Swish with beta = 1/w, Ramachandran et al. 2017);
- `gelu`: g(x) = x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016);
- `smelu`: g(x) = (x + 1)^2 / 4 between -1 and 1, else max(0, x) (Shamir et al. 2020, arXiv 2010.09931);
- `softplus`: g(x) = log(1 + exp(x)) (Dugas et al. 2001). It is w log 2 at 0, and the only one above max(0, x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

Corners = tuple[tuple[float, float], ...]  # (c, t) of each corner
_POSITIVE_PART = torch.relu  # torch's own, also where the name has come to stand for a smooth one


def smelu(x: Tensor) -> Tensor:
    """(x + 1)^2 / 4 between -1 and 1, else max(0, x); its slope is continuous, its second derivative is not."""
    inside = x.clamp(-1, 1) + 1
    return inside * inside / 4 + _POSITIVE_PART(x - 1)


ROUNDED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "smelu": smelu,
    "softplus": functional.softplus,
}


@dataclass(frozen=True)
class Kinked:
    """A piecewise linear activation, r(x) = offset + slope x + sum_i c_i max(0, x - t_i)."""

    name: str  # of torch's class
    corners: Corners
    slope: float = 0.0
    offset: float = 0.0

    def rounded(self, x: Tensor, to: str, width: float) -> Tensor:
        """The same sum with a smooth function in place of max(0, x).

        Args:
            x: of any shape.
            to: a name in `ROUNDED`.
            width: of the smooth function.
        """
        total = reduce(torch.add, (_corner(x, factor, place, ROUNDED[to], width) for factor, place in self.corners))
        if self.slope:
            total = total + self.slope * x
        return total + self.offset if self.offset else total


def _corner(x: Tensor, factor: float, place: float, g: Callable[[Tensor], Tensor], width: float) -> Tensor:
    shifted = x - place if place else x
    y = g(shifted) if width == 1 else width * g(shifted / width)
    return y if factor == 1 else factor * y


def relu() -> Kinked:
    """max(0, x)."""
    return Kinked("ReLU", ((1.0, 0.0),))


def leaky_relu(negative_slope: float = 0.01) -> Kinked:
    """The identity above 0, and negative_slope x below."""
    return Kinked("LeakyReLU", ((1.0 - negative_slope, 0.0),), slope=negative_slope)


def hardtanh(min_val: float = -1.0, max_val: float = 1.0, name: str = "Hardtanh") -> Kinked:
    """The identity between min_val and max_val, and constant outside."""
    return Kinked(name, ((1.0, min_val), (-1.0, max_val)), offset=min_val)


def relu6() -> Kinked:
    """The identity between 0 and 6, and constant outside."""
    return hardtanh(0.0, 6.0, "ReLU6")


def kinked(module: nn.Module) -> Kinked | None:
    """A module of torch's as a sum of corners; None if it is none of ReLU, LeakyReLU, ReLU6 and Hardtanh."""
    if type(module) is nn.ReLU:
        return relu()
    if type(module) is nn.LeakyReLU:
        return leaky_relu(module.negative_slope)
    if type(module) in (nn.Hardtanh, nn.ReLU6) and isinstance(module, nn.Hardtanh):
        return hardtanh(module.min_val, module.max_val, type(module).__name__)
    return None


class Rounded(nn.Module):
    """The smooth stand-in of a kinked activation, never in place.

    Args:
        activation: what it stands in for.
        to: a name in `ROUNDED`.
        width: over which the slope changes.
    """

    def __init__(self, activation: Kinked, to: str, width: float) -> None:
        super().__init__()
        self.activation, self.to_name, self.width = activation, to, width

    def forward(self, x: Tensor) -> Tensor:
        """The stand-in of x, of its shape."""
        return self.activation.rounded(x, self.to_name, self.width)

    def extra_repr(self) -> str:
        """What is replaced by what."""
        return f"{self.activation.name} -> {self.to_name}, width={self.width:g}"


class RoundedMaxPool2d(nn.Module):
    """Max pooling by the soft maximum, w log((1/n) sum exp(x / w)) over each window's n numbers inside the image.

    It lies between the mean and the maximum of the window, and tends to the maximum as w goes to 0.

    Args:
        pool: what it stands in for; without indices.
        width: w.
    """

    def __init__(self, pool: nn.MaxPool2d, width: float) -> None:
        super().__init__()
        self.pool, self.width = pool, width

    def forward(self, images: Tensor) -> Tensor:
        """Pool images (n, channels, height, width)."""
        pool = self.pool
        kernel, stride, padding, dilation = map(_pair, (pool.kernel_size, pool.stride, pool.padding, pool.dilation))
        rows, columns = pool(torch.empty(images.shape, device="meta")).shape[2:]
        far = [
            max(0, (windows - 1) * step + gap * (size - 1) + 1 - near - length)
            for windows, step, gap, size, near, length in zip(
                (rows, columns), stride, dilation, kernel, padding, images.shape[2:], strict=True
            )
        ]
        # What lies outside of the image is minus infinity, and does not count.
        margins = (padding[1], far[1], padding[0], far[0])
        padded = functional.pad(images / self.width, margins, value=-math.inf).flatten(0, 1)[:, None]
        values = functional.unfold(padded, kernel, dilation=dilation, stride=stride)  # (n * channels, window, places)
        inside = (values > -math.inf).sum(1).to(values.dtype)
        soft = self.width * (torch.logsumexp(values, 1) - inside.log())
        return soft.view(*images.shape[:2], rows, columns)

    def extra_repr(self) -> str:
        """The width."""
        return f"width={self.width:g}"


def _pair(sizes: int | tuple[int, ...]) -> tuple[int, int]:
    return (sizes, sizes) if isinstance(sizes, int) else (sizes[0], sizes[1])
