import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lastbit.pde.layers import symbol as layer_symbol
from lastbit.pde.layers.symbol import closed_form, windowed_product

torch.set_num_threads(1)

# A remark on speed that torch makes of layers drawn here.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")


@st.composite
def layers(draw):
    """A convolution with every option varied, an input of two samples, and curvature weights."""
    groups = draw(st.integers(1, 2))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    stride, kernel = draw(pairs), draw(pairs)
    padding = draw(st.sampled_from([0, 1, (0, 2), "valid"] + (["same"] if stride == (1, 1) else [])))
    conv = nn.Conv2d(
        groups * draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 2)),
        kernel,
        stride=stride,
        padding=padding,
        dilation=draw(pairs),
        groups=groups,
        padding_mode=mode,
        bias=False,
    ).double()
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    shape = 2, conv.in_channels, draw(st.integers(7, 9)), draw(st.integers(7, 9))
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, conv.out_channels, generator=generator, dtype=torch.float64)
    return conv, x, weights


def windowed_extremes(conv, x, weights):
    """Dense eigenvalues of sum_n k[n, o] sum_x p p^T, by differentiating torch's own convolution."""

    def quadratic(w):
        z = conv._conv_forward(x, w, None)
        return (weights[..., None, None] * z.square()).sum() / 2

    size = conv.weight.numel()
    matrix = torch.autograd.functional.hessian(quadratic, conv.weight.detach()).reshape(size, size)
    values = torch.linalg.eigvalsh(matrix)
    return float(values[0]), float(values[-1])


def options(conv):
    return list(zip(conv.stride, conv.dilation, conv.kernel_size, strict=True))


def paddings(conv):
    """Total padding, vertical and horizontal."""
    if conv.padding == "same":
        return [dilation * (kernel - 1) for _, dilation, kernel in options(conv)]
    return [0, 0] if conv.padding == "valid" else [2 * size for size in conv.padding]


def circular_extremes(conv, x, weights):
    """The same on the periodic padded input with a kernel as large as the grid, patch by patch."""
    pads = [size for size in reversed(paddings(conv)) for size in (size // 2, size - size // 2)]
    padded = F.pad(x, pads, mode={"zeros": "constant"}.get(conv.padding_mode, conv.padding_mode)).numpy()
    places, taps, images = [], [], padded
    for axis, (stride, dilation, kernel) in enumerate(options(conv)):
        period = math.lcm(stride, dilation)
        points = -(-padded.shape[2 + axis] // period)
        width = [(0, 0)] * 4
        width[2 + axis] = (0, points * period - padded.shape[2 + axis])
        images = np.pad(images, width)
        places.append([stride * i for i in range(points * period // stride)])
        # Taps as the kernel has them, continued by its period until they fill the grid.
        phases = [dilation * i for i in range(min(period // dilation, kernel))]
        taps.append([phase + period * q for q in range(points) for phase in phases])
    per_group, per_out = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    height, width = images.shape[2:]
    lows, highs = [], []
    for o in range(conv.out_channels):
        group = images[:, o // per_out * per_group : (o // per_out + 1) * per_group]
        matrix = 0.0
        for n, y, z in itertools.product(range(len(x)), *places):
            rows = [(y + u) % height for u in taps[0]]
            columns = [(z + v) % width for v in taps[1]]
            patch = group[n][:, rows][:, :, columns].ravel()
            matrix = matrix + float(weights[n, o]) * np.outer(patch, patch)
        values = np.linalg.eigvalsh(matrix)
        lows.append(values[0])
        highs.append(values[-1])
    return min(lows), max(highs)


@settings(max_examples=25, deadline=None)
@given(problem=layers())
def test_the_symbol_is_the_spectrum_of_the_periodic_operator(problem):
    conv, x, weights = problem
    x = x[:, :, :5, :5]
    assume(all(dilation * (kernel - 1) < 5 for _, dilation, kernel in options(conv)))
    found = closed_form(conv, [x], [weights])
    low, high = circular_extremes(conv, x, weights)
    phases = [min(math.lcm(stride, dilation) // dilation, kernel) for stride, dilation, kernel in options(conv)]
    if conv.in_channels // conv.groups * math.prod(phases) > 1:
        low, high = min(low, 0), max(high, 0)
    rounding = 1e-10 * max(abs(low), abs(high))
    assert found.lowest == pytest.approx(low, abs=rounding)
    assert found.highest == pytest.approx(high, abs=rounding)


def extremes_of(product, shape):
    """Extreme eigenvalues of a product, written out."""
    units = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    values = torch.linalg.eigvalsh(torch.stack([product(unit).flatten() for unit in units]))
    return float(values[0]), float(values[-1])


@settings(max_examples=40, deadline=None)
@given(problem=layers(), weight=st.sampled_from([0.7, -0.7]))
def test_the_outer_end_bounds_the_layers_own_window_and_the_pixel_for_constant_weights(problem, weight):
    conv, x, _ = problem
    weights = torch.full((2, conv.out_channels), weight, dtype=torch.float64)
    found = closed_form(conv, [x], [weights])
    product = windowed_product(conv, [x], [weights])
    for size in (conv.kernel_size, (1, 1)):
        low, high = extremes_of(product, (*conv.weight.shape[:2], *size))
        rounding = 1e-10 * max(abs(low), abs(high))
        assert found.lowest - rounding <= low or weight > 0
        assert high <= found.highest + rounding or weight < 0


@settings(max_examples=30, deadline=None)
@given(problem=layers())
def test_the_windowed_product_is_that_of_the_dense_operator(problem):
    conv, x, weights = problem
    product = windowed_product(conv, [x], [weights])
    assert extremes_of(product, conv.weight.shape) == pytest.approx(windowed_extremes(conv, x, weights))
    twice = windowed_product(conv, [x, x], [weights, weights])
    torch.testing.assert_close(twice(conv.weight), 2 * product(conv.weight))


def test_the_odd_zero_of_same_padding_is_last():
    conv = nn.Conv2d(1, 1, (2, 4), padding="same").double()
    x = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    product = windowed_product(conv, [x], [weights])
    assert extremes_of(product, conv.weight.shape) == pytest.approx(windowed_extremes(conv, x, weights))


def test_the_pixel_is_the_mean_of_the_symbol_over_frequencies():
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(3, 2, 3)
    x = torch.randn(4, 3, 6, 7, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.fft2(x).flatten(2).permute(2, 1, 0)
    means = [((spectrum * k.to(spectrum.dtype)) @ spectrum.mH).mean(0).real for k in weights.T]
    values = torch.linalg.eigvalsh(torch.stack(means))
    expected = float(values.min()), float(values.max())
    assert extremes_of(windowed_product(conv, [x], [weights]), (2, 3, 1, 1)) == pytest.approx(expected)


def test_one_channel_is_the_papers_formula_with_its_critical_frequency():
    random = np.random.default_rng(0)
    rows, columns = np.indices((9, 12))
    image = random.standard_normal((9, 12)) + 3 * np.cos(2 * np.pi * (3 * columns / 12 - 2 * rows / 9))
    power = abs(np.fft.fft2(image)) ** 2
    conv = nn.Conv2d(1, 1, 3)
    found = closed_form(conv, [torch.tensor(image)[None, None]], [torch.tensor([[-0.25]], dtype=torch.float64)])
    assert found.lowest == pytest.approx(-0.25 * power.max())
    assert found.highest == pytest.approx(-0.25 * power.min())
    assert found.lowest_frequency == pytest.approx((-2 * np.pi * 2 / 9, 2 * np.pi * 3 / 12))
    assert found.weight == 0.25


def test_the_critical_channel_is_that_of_the_largest_weight_in_any_group():
    conv = nn.Conv2d(4, 6, 3, groups=2)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = torch.zeros(2, 6)
    weights[:, 4], weights[1, 2] = 1.0, -1.0
    found = closed_form(conv, [x], [weights])
    assert (found.highest_channel, found.lowest_channel) == (4, 2)


def test_several_calls_add_up_even_at_different_sizes():
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(2, 1, 3, padding=1)
    large = torch.randn(2, 2, 8, 8, generator=generator, dtype=torch.float64)
    ones = torch.ones(2, 1, dtype=torch.float64)
    small = F.pad(large, (0, -2, 0, -2))
    together = closed_form(conv, [large, small], [ones, ones])
    joined = closed_form(conv, [torch.cat([large, F.pad(small, (0, 2, 0, 2))])], [torch.cat([ones, ones])])
    assert together == joined
    assert together.highest > closed_form(conv, [large], [ones]).highest


@pytest.mark.parametrize("at_once", [1, 1 << 18])
def test_the_search_stops_early_without_missing_the_peak(at_once, monkeypatch):
    """Many matrices, the peak not always where the bound is largest."""
    monkeypatch.setattr(layer_symbol, "_ENTRIES_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(1)
    conv = nn.Conv2d(6, 3, 3)
    surprises = 0
    for _ in range(10):
        x = torch.randn(9, 6, 8, 8, generator=generator, dtype=torch.float64)
        weights = torch.randn(9, 3, generator=generator, dtype=torch.float64)
        found = closed_form(conv, [x], [weights])
        spectrum = torch.fft.fft2(x).flatten(2).permute(2, 1, 0)
        scaled = spectrum * weights.T.reshape(3, 1, 1, 9).to(spectrum.dtype)
        tops = torch.linalg.eigvalsh(scaled @ spectrum.mH)[..., -1]
        assert found.highest == pytest.approx(float(tops.max()))
        assert found.highest_channel == int(tops.max(1).values.argmax())
        bounds = weights.T.clamp(min=0) @ spectrum.abs().square().sum(1).T
        surprises += int(bounds.argmax()) != int(tops.argmax())
    assert surprises > 0


def test_values_that_are_not_finite_give_nan_and_no_calls_give_zero():
    conv = nn.Conv2d(1, 1, 1)
    x, ones = torch.ones(1, 1, 3, 3), torch.ones(1, 1)
    assert math.isnan(closed_form(conv, [x * math.inf], [ones]).highest)
    assert math.isnan(closed_form(conv, [x], [ones * math.nan]).lowest)
    assert closed_form(conv, [], []).highest == 0
