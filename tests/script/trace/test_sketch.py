"""Sketches against exact distances in float64, digests against bits, and both against memory formats and threads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lastbit.script.trace import sketch as module
from lastbit.script.trace.distance import distance, proportion
from lastbit.script.trace.sketch import BUCKETS, WIDTH, sketch_of, summarise

RECORDED = (446921, -2402815, 4632372, 5024715, 666840, 1852760, -8486820, -1853035)  # with format 2
ROWS = 32
BLOCK = ROWS * WIDTH
SIZES = [1, 2, 3, 5, 8, 9, 1000, WIDTH - 1, WIDTH, WIDTH + 1, 32 * WIDTH, 32 * WIDTH + 5, 200_003]
TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.complex64]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(one, other):
    return float((one.double() - other.double()).norm() / max(one.double().norm(), other.double().norm()))


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_norm_is_that_of_float64(size, dtype):
    tensor = (3 * normal(size)).to(dtype)
    parts = (torch.view_as_real(tensor) if dtype.is_complex else tensor).double().flatten().tolist()
    assert summarise(tensor).norm == pytest.approx(math.sqrt(math.fsum(part * part for part in parts)), rel=1e-14)


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_sketch_is_the_signed_sum_in_each_bucket(size):
    """By the definition, element by element."""
    tensor = normal(size)
    within, between = module._signs_within("float32"), module._signs_between(-(-size // BLOCK))
    columns, order, begins = module._columns(WIDTH)
    buckets = np.empty(WIDTH, int)
    buckets[order] = np.searchsorted(begins, np.arange(WIDTH), side="right") - 1
    expected = np.zeros(BUCKETS)
    for place, value in enumerate(tensor.tolist()):
        row, column = divmod(place, WIDTH)
        sign = within[row % ROWS, column] * between[row // ROWS, column] * columns[column]
        expected[buckets[column]] += sign * value
    _, sketch = sketch_of(tensor)
    assert len(sketch) == min(BUCKETS, 1 << (size - 1).bit_length())
    np.testing.assert_allclose(sketch, expected[: len(sketch)], rtol=1e-11, atol=1e-9)


def test_signs_and_buckets_are_fair_and_never_change():
    columns, _, begins = module._columns(WIDTH)
    counts = np.diff([*begins, WIDTH])
    for signs in (columns, module._signs_within("float64")[1:], module._signs_between(64)[1:]):
        assert set(signs.ravel().tolist()) == {-1, 1}
        assert abs(signs.sum()) < 4 * math.sqrt(signs.size)
        assert abs((signs[..., :-1] * signs[..., 1:]).sum()) < 4 * math.sqrt(signs.size)
    assert np.all(np.abs(counts - WIDTH / 8) < 4 * math.sqrt(WIDTH / 8))
    # Of a trace that was recorded years ago.
    np.testing.assert_array_equal(module._signs_between(10), module._signs_between(1000)[:10])
    _, sketch = sketch_of(torch.arange(70_000, dtype=torch.float64))
    assert sketch == pytest.approx(RECORDED, rel=1e-12)


def differences():
    """Tensors and others that are a little, or much, different in one of many ways."""
    base = normal(64, 32, 16, 16)
    one_ulp = torch.nextafter(base, torch.full_like(base, math.inf))
    yield "one ulp everywhere", base, one_ulp
    some = torch.rand(base.shape, generator=torch.Generator().manual_seed(3)) < 0.01
    yield "one ulp in some elements", base, torch.where(some, one_ulp, base)
    yield "another scale", base, base * 1.001
    yield "one image", base, torch.cat([base[:1] * 1.1, base[1:]])
    channel = base.clone()
    channel[:, 3] += 0.1
    yield "a bias of one channel", base, channel
    column = normal(4096, 512)
    moved = column.clone()
    moved[:, 7] += 0.01
    yield "a column of a matrix", column, moved
    yield "an outer product", column, column + 1e-3 * normal(4096, 1, seed=1) * normal(1, 512, seed=2)
    yield "float64, one ulp", base.double(), torch.nextafter(base.double(), torch.full((), math.inf).double())
    yield "bfloat16", base.bfloat16(), (base * 1.01).bfloat16()
    yield "a small matrix", normal(16, 16), normal(16, 16) + 1e-3 * normal(16, 16, seed=5)


@pytest.mark.parametrize(
    ("one", "other"), [pair[1:] for pair in differences()], ids=[pair[0] for pair in differences()]
)
def test_distances_are_those_of_float64_up_to_the_stated_error(one, other):
    """Within 4 standard deviations, of 25 % each, and not below what a chi-squared of 8 reaches once in 10,000."""
    assert 0.3 < distance(summarise(one), summarise(other)) / exact(one, other) < 2


def test_the_squared_distance_is_unbiased_with_the_stated_deviation():
    """Over 400 pairs of tensors: sketches with fixed signs, random differences."""
    ratios = []
    for seed in range(400):
        one, step = normal(3000, seed=seed), normal(3000, seed=1000 + seed)
        other = (one.double() + 1e-6 * step.double()).float()
        ratios.append((distance(summarise(one), summarise(other)) / exact(one, other)) ** 2)
    assert np.mean(ratios) == pytest.approx(1, abs=4 * 0.5 / 20)
    assert np.std(ratios) == pytest.approx(0.5, rel=0.2)


def squared_ratio(difference):
    """Of the estimate to the truth."""
    norm, sketch = sketch_of(difference)
    return sum(value * value for value in sketch) / norm**2


@pytest.mark.parametrize("size", [4096, 16_384, 22_462, BLOCK, 1 << 17, 1 << 18, 1_000_000])
def test_a_constant_difference_is_seen_at_every_size(size):
    one = normal(size)
    assert 0.3 < distance(summarise(one), summarise(one + 1)) / exact(one, one + 1) < 2


def test_the_stated_deviation_holds_for_constants_and_for_products_of_row_and_column():
    """Signs that are products of one for the row and one for the column would give 1.4 and more."""
    random = np.random.default_rng(0)
    constants = [squared_ratio(torch.ones(size)) for size in np.geomspace(1100, 2e6, 60).astype(int).tolist()]
    products = [
        squared_ratio(torch.from_numpy(np.outer(random.standard_normal(rows), random.standard_normal(WIDTH))))
        for rows in (50, 200)
        for _ in range(60)
    ]
    for ratios in (constants, products):
        assert np.mean(ratios) == pytest.approx(1, abs=0.25)
        assert np.std(ratios) < 0.7


def test_on_a_device_the_same_sums_are_taken():
    for size in (WIDTH + 1, BLOCK, 5 * BLOCK + 7):
        values = normal(size)
        squares, sums = module._of_many_rows(values.numpy())
        others = module._on_device(values)
        assert others[0] == pytest.approx(squares, rel=1e-12)
        np.testing.assert_allclose(others[1], sums, rtol=0, atol=1e-10 * math.sqrt(size))


@given(st.integers(1, 8), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_up_to_eight_elements_the_distance_is_exact(size, seed):
    one, other = normal(size, seed=seed), normal(size, seed=seed + 1)
    assert distance(summarise(one), summarise(other)) == pytest.approx(exact(one, other), rel=1e-9)


@given(st.lists(st.integers(1, 40), min_size=4, max_size=4), st.integers(0, 10**6), st.sampled_from([0, 1]))
@settings(max_examples=60, deadline=None)
def test_the_memory_format_does_not_count_and_every_bit_does(shape, seed, flips):
    tensor = normal(*shape, seed=seed)
    other = tensor.contiguous(memory_format=torch.channels_last).clone(memory_format=torch.preserve_format)
    if flips:
        place = tuple(int(np.random.default_rng(seed).integers(size)) for size in shape)
        other[place] = torch.nextafter(other[place], torch.tensor(math.inf))
    one, two = summarise(tensor), summarise(other)
    assert (one.digest == two.digest) == (bits(tensor) == bits(other)) == (not flips)
    assert (one == two) == (not flips)


def test_transposed_strided_and_expanded_tensors_are_read_by_their_elements():
    base = normal(300, 50)
    for view in (base.T, base[::3, 1::2], base[:, :1].expand(300, 9), base[None].movedim(0, 2)):
        assert summarise(view) == summarise(view.contiguous())
    conjugate = torch.view_as_complex(normal(40, 2)).conj()
    assert summarise(conjugate) == summarise(conjugate.resolve_conj())


def test_threads_do_not_count():
    tensors = [normal(1 << 20), normal(64, 32, 28, 28).to(memory_format=torch.channels_last), normal(5, 70_000).T]
    threads = torch.get_num_threads()
    try:
        by_threads = []
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            by_threads.append([summarise(tensor) for tensor in tensors])
    finally:
        torch.set_num_threads(threads)
    assert by_threads[0] == by_threads[1] == by_threads[2]


def test_what_diverged_is_summarised_without_a_warning():
    values = normal(10_000)
    values[5], values[7] = math.inf, -math.inf
    summary = summarise(values)
    assert summary.norm == math.inf
    assert math.isnan(summarise(torch.full((9,), math.nan)).norm)
    assert distance(summary, summary) == 0
    assert math.isnan(distance(summary, summarise(values.flip(0))))


def test_what_has_no_distance():
    zero, one = summarise(torch.zeros(9)), summarise(torch.ones(9))
    assert distance(zero, one) == distance(one, zero) == pytest.approx(1, rel=0.7)
    assert math.isnan(distance(zero, summarise(torch.ones(10))))
    assert distance(summarise(torch.zeros(9)), summarise(-torch.zeros(9))) == 0
    assert distance(one, summarise(torch.ones(9).double())) == 0
    assert distance(summarise(torch.zeros(0, 3)), summarise(torch.zeros(0, 3))) == 0
    unknown = summarise(torch.ones(9), known=False)
    assert unknown.digest is None
    assert math.isnan(distance(unknown, one))
    assert summarise(nn.Parameter(torch.ones(9)).to_sparse()).digest is None
    assert summarise(torch.ones(9, device="meta")).device == "meta"


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bool, torch.uint8, torch.int64, torch.bfloat16], ids=str
)
def test_the_memory_of_a_tensor_stays_its_own(dtype):
    """FSDP gives memory back by resizing it, which `Tensor.numpy` would forbid for ever after."""
    for count in (5, 3000):
        values = (torch.arange(count) % 7).to(dtype)
        norm, _ = sketch_of(values)
        assert norm == pytest.approx(float(values.double().norm()), rel=1e-12)
        values.untyped_storage().resize_(0)
        assert values.untyped_storage().nbytes() == 0


@pytest.mark.parametrize("size", [1, 8, 3000])
@pytest.mark.parametrize("scale", [1e-320, 1e-170, 1e-160, 1.0, 1e160, 1e170, 1e300])
def test_what_has_squares_beyond_float64_is_summarised_and_compared(size, scale):
    """By `math.hypot`, which scales; the same signs as of ones."""
    values = torch.full((size,), scale, dtype=torch.float64)
    one, other = summarise(values), summarise(3 * values)
    assert one.norm == pytest.approx(math.hypot(*values.tolist()), rel=1e-3 if scale < 1e-300 else 1e-14)
    ordinary = summarise(torch.ones(size)), summarise(3 * torch.ones(size))
    assert distance(one, other) == pytest.approx(distance(*ordinary), rel=1e-3)
    if size >= BUCKETS:
        sketches = np.array(one.sketch), np.array(other.sketch)
        assert proportion(*sketches) == pytest.approx(1 / 3, rel=1e-3)
