"""The paper's closed-form bound for a convolution of a real network: the weighted spectrum of its input.

In the paper's network the linearised update of a kernel is, in an infinite window, multiplication by
(a beta/2) |I(w)|^2: curvature weight times power spectrum of the input (eq. 12-14). A real layer has many samples
n, channels, a stride s and a dilation d. With the curvature weight of sample n and output channel o replaced by its
mean over positions, k[n, o], the kernels of different output channels decouple, and output channel o has the symbol

    S_o(w) = sum_n k[n, o] v_n(w) v_n(w)^*,

a Hermitian matrix over the input channels of its group, v_n(w) the unnormalised DFT of the padded input. Stride and
dilation are exact, by polyphase components: with m = s / gcd(s, d) and t = d / gcd(s, d), taps that differ by m see
the same input samples shifted, so that v gains m^2 phases of taps as further channels and t^2 phases of positions as
further samples. The closed form is the largest and least eigenvalue of S_o(w) over o and w. Where the weights are
constant over positions and of one sign, its end away from zero bounds that of the operator on the layer's own kernel,
because the positions of the output are some of those of the periodic input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lastbit.pde.layers.spectrum import Extremes, rounding_resolution

# Entries of the Hermitian matrices diagonalised at a time, a few MB: enough for full speed.
_ENTRIES_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class ClosedForm(Extremes):
    """Extreme eigenvalues of the symbol: the paper's bound for an infinite window (eq. 14).

    With several channels an end on the wrong side of zero is replaced by zero, which is the stricter bound.
    """

    lowest_frequency: tuple[float, float]  # radians per tap (per m taps where strided), vertical and horizontal
    highest_frequency: tuple[float, float]
    lowest_channel: int  # output channel
    highest_channel: int
    weight: float  # root mean square of the curvature weights k[n, o]
    weight_error: float  # standard error of the weights, root mean square; 0 where they are exact


@dataclass(frozen=True)
class _Peak:
    value: float
    channel: int
    frequency: int


def closed_form(
    conv: nn.Conv2d, inputs: Sequence[Tensor], weights: Sequence[Tensor], *, weight_error: float = 0.0
) -> ClosedForm:
    """Extremes of the symbol of a convolution's frozen operator.

    Args:
        conv: the layer; its padding, stride, dilation and groups are read, its weight is not.
        inputs: one tensor (samples, channels, height, width) for each call of the layer.
        weights: for each call the curvature weights k, (samples, output channels).
        weight_error: standard error of the weights, passed on to the result.
    """
    if not inputs:
        return _constant(0.0)  # a layer that is never called adds no curvature
    joined = torch.cat(list(weights))
    if not all(bool(torch.isfinite(part).all()) for part in [joined, *inputs]):
        return _constant(math.nan)
    grid = _grid(conv, inputs)
    components = torch.cat([_components(conv, _padded(conv, x), grid) for x in inputs], dim=2)
    repeats = components.shape[2] // len(joined)
    by_group = joined.repeat_interleave(repeats, 0).T.reshape(conv.groups, -1, repeats * len(joined))
    spectrum = torch.fft.rfft2(components).flatten(3).permute(0, 3, 1, 2)  # (group, frequency, channel, sample)
    low, high = _ends(spectrum, by_group)
    return ClosedForm(
        low.value,
        high.value,
        rounding_resolution(low.value, high.value, joined.dtype),
        _radians(low.frequency, grid),
        _radians(high.frequency, grid),
        low.channel,
        high.channel,
        float(joined.double().square().mean().sqrt()),
        weight_error,
    )


def windowed_product(
    conv: nn.Conv2d, inputs: Sequence[Tensor], weights: Sequence[Tensor]
) -> Callable[[Tensor], Tensor]:
    """The operator that the symbol describes, on finite kernels: sum_n k[n, o] sum_x p p^T over patches p.

    Arguments as for `closed_form`. The product takes kernels of any height and width: the layer's own, or one pixel,
    of which the spectrum is that of the mean of the symbol over frequencies (eq. 19, by Parseval).
    """
    padded = [_padded(conv, x) for x in inputs]

    def product(vector: Tensor) -> Tensor:
        """Return Σ_x a g r''(z) p pᵀ v over the patches p, of the kernel's shape."""
        kernel = vector.detach().requires_grad_()
        total = torch.zeros_like(vector)
        for x, weight in zip(padded, weights, strict=True):
            z = F.conv2d(x, kernel, None, conv.stride, 0, conv.dilation, conv.groups)
            (gathered,) = torch.autograd.grad(z, kernel, weight[..., None, None] * z.detach())
            total += gathered
        return total

    return product


def _ends(vectors: Tensor, weights: Tensor) -> tuple[_Peak, _Peak]:
    """Least and largest eigenvalue over groups, output channels and frequencies."""
    peaks = [_highest(v, w) for v, w in zip(vectors, weights, strict=True)]
    dips = [_highest(v, -w) for v, w in zip(vectors, weights, strict=True)]
    per_group = weights.shape[1]

    def first(ends: list[_Peak]) -> _Peak:
        """Return the highest peak over the groups, its channel counted over all of them."""
        group = max(range(len(ends)), key=lambda g: ends[g].value)
        return _Peak(ends[group].value, ends[group].channel + group * per_group, ends[group].frequency)

    dip = first(dips)
    return _Peak(0.0 - dip.value, dip.channel, dip.frequency), first(peaks)


def _highest(vectors: Tensor, weights: Tensor) -> _Peak:
    """Largest eigenvalue of S = sum_n weights[o, n] v_n v_n^* over output channels o and frequencies.

    The sum of |v_n|^2 over the positive weights bounds each eigenvalue from above. Matrices are diagonalised in
    descending order of that bound, until it falls below the largest eigenvalue so far.

    Args:
        vectors: (frequency, channel, sample).
        weights: (output channel, sample).
    """
    power = vectors.abs().square().sum(1).T  # (sample, frequency)
    if vectors.shape[1] == 1:
        values = weights @ power
        return _peak(float(values.max()), int(values.argmax()), power.shape[1])
    if vectors.shape[2] < vectors.shape[1]:  # fewer samples than channels: keep the eigenvalues that are not zero
        vectors = torch.linalg.qr(vectors, mode="r").R
    bounds = (weights.clamp(min=0) @ power).flatten()
    best = _Peak(0.0, 0, 0)
    at_once = max(1, _ENTRIES_AT_ONCE // vectors.shape[1] ** 2)
    for pairs in torch.split(bounds.argsort(descending=True), at_once):
        if float(bounds[pairs[0]]) <= best.value:
            break
        factors, scales = vectors[pairs % power.shape[1]], weights[pairs // power.shape[1]]
        tops = torch.linalg.eigvalsh((factors * scales[:, None, :]) @ factors.mH)[:, -1]
        if float(tops.max()) > best.value:
            best = _peak(float(tops.max()), int(pairs[tops.argmax()]), power.shape[1])
    return best


def _peak(value: float, pair: int, frequencies: int) -> _Peak:
    return _Peak(value, *divmod(pair, frequencies))


def _components(conv: nn.Conv2d, padded: Tensor, grid: tuple[int, int]) -> Tensor:
    """Polyphase components of a padded input, (group, channel and tap phase, sample and position phase, *grid)."""
    rows, columns = (_indices(conv, axis, grid[axis]) for axis in (0, 1))
    height, width = padded.shape[2:]
    extended = F.pad(padded, (0, int(columns.max()) + 1 - width, 0, int(rows.max()) + 1 - height))
    parts = extended[:, :, rows[..., None, None, None], columns]
    samples, channels, taps_y, places_y, _, taps_x, places_x, _ = parts.shape
    per_group = channels // conv.groups
    split = parts.reshape(samples, conv.groups, per_group, *parts.shape[2:])
    # (n, group, c, tap y, place y, y, tap x, place x, x) -> (group, c, tap y, tap x, n, place y, place x, y, x)
    ordered = split.permute(1, 2, 3, 6, 0, 4, 7, 5, 8)
    return ordered.reshape(conv.groups, per_group * taps_y * taps_x, samples * places_y * places_x, *grid)


def _indices(conv: nn.Conv2d, axis: int, length: int) -> Tensor:
    """Input positions (tap phase, position phase, grid point) of the components along one axis, circular."""
    stride, dilation, taps = conv.stride[axis], conv.dilation[axis], conv.kernel_size[axis]
    period = math.lcm(stride, dilation)
    tap = dilation * torch.arange(min(period // dilation, taps))[:, None, None]
    place = stride * torch.arange(period // stride)[None, :, None]
    return (period * torch.arange(length) + tap + place) % (period * length)


def _grid(conv: nn.Conv2d, inputs: Sequence[Tensor]) -> tuple[int, int]:
    """Points of the polyphase grid that hold the largest padded input."""
    left, right, top, bottom = _pads(conv)
    height = max(x.shape[2] for x in inputs) + top + bottom
    width = max(x.shape[3] for x in inputs) + left + right
    return (
        -(-height // math.lcm(conv.stride[0], conv.dilation[0])),
        -(-width // math.lcm(conv.stride[1], conv.dilation[1])),
    )


def _padded(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The input with the layer's own padding."""
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    return F.pad(x, _pads(conv), mode=mode)


def _pads(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Padding on the left, right, top and bottom; `same` puts the odd one last, as torch does."""
    if not isinstance(conv.padding, str):
        vertical, horizontal = conv.padding
        return horizontal, horizontal, vertical, vertical
    spans = [d * (k - 1) if conv.padding == "same" else 0 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    vertical, horizontal = spans
    return horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2


def _radians(index: int, grid: tuple[int, int]) -> tuple[float, float]:
    """Frequency of a point of the half spectrum, in (-pi, pi]."""
    row, column = divmod(index, grid[1] // 2 + 1)
    wrapped = row if 2 * row <= grid[0] else row - grid[0]
    return 2 * math.pi * wrapped / grid[0], 2 * math.pi * column / grid[1]


def _constant(value: float) -> ClosedForm:
    """A result with all numbers equal: zero, or NaN if the input or the weights are not finite."""
    return ClosedForm(value, value, value, (value, value), (value, value), 0, 0, value, value)
