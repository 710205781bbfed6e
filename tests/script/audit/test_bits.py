import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastbit.script.audit import bits as module
from lastbit.script.audit.bits import digest, logical_digest

SIZES = [1, 7, 1000, 4083, 4084, 4085, 50_001]  # float32 elements, around the size where sums begin


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_equal_bits_have_equal_digests_and_one_flipped_bit_another(size, dtype):
    tensor = torch.zeros(size, dtype=dtype)
    flipped = tensor.clone()
    memory = flipped.view(torch.uint8) if not dtype.is_complex else torch.view_as_real(flipped).view(torch.uint8)
    memory.flatten()[size // 2] = 1
    assert digest(tensor) == digest(tensor.clone())
    assert digest(flipped) != digest(tensor)


@given(st.integers(0, 49_999), st.integers(0, 49_999), st.integers(0, 2**32))
def test_the_order_of_the_elements_counts(first, second, seed):
    values = torch.from_numpy(np.random.default_rng(seed).permutation(50_000).astype(np.float32))
    exchanged = values.clone()
    exchanged[[first, second]] = values[[second, first]]
    assert (digest(values) == digest(exchanged)) == (first == second)


@pytest.mark.parametrize("shape", [(64, 1, 32, 32), (128, 3, 8, 8), (512, 512), (64, 1021 * 2 + 1)])
def test_exchanged_images_and_rows_are_seen(shape):
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert len({digest(images), digest(images[[1, 0, *range(2, len(images))]]), digest(images.flip(0))}) == 3


@pytest.mark.parametrize(("function", "lanes"), [(digest, 1021), (logical_digest, 509)])
def test_signs_of_all_numbers_cancel_only_in_float64_in_whole_pairs_of_rows(function, lanes):
    """As the documentation says of what is missed."""
    for size, dtype, missed in (
        (4 * lanes, torch.float64, True),
        (3 * lanes, torch.float64, False),
        (4 * lanes + 1, torch.float64, False),
        (4 * lanes, torch.float32, False),
    ):
        values = torch.randn(size, dtype=dtype, generator=torch.Generator().manual_seed(0))
        assert (function(values) == function(-values)) == missed


def test_minus_zero_and_other_nans_are_other_bits():
    assert digest(torch.tensor([0.0])) != digest(torch.tensor([-0.0]))
    assert digest(torch.tensor([float("nan")])) == digest(torch.tensor([float("nan")]))


def test_layouts_that_fill_their_memory_are_read_in_place_and_others_by_their_elements():
    dense = torch.randn(8, 3, 16, 16)
    last = dense.to(memory_format=torch.channels_last)
    assert digest(last) == digest(last.clone())
    part = torch.arange(100.0)[::3]
    assert digest(part) == digest(part.clone())
    assert digest(torch.ones(3).expand(5, 3)) == digest(torch.ones(5, 3))
    assert digest(torch.zeros(0, 4)) == digest(torch.zeros(0))


@pytest.mark.parametrize("size", [3, 3000, 50_001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.bool, torch.complex64])
def test_on_a_device_the_same_sums_are_taken(dtype, size):
    tensor = (torch.randn(size, generator=torch.Generator().manual_seed(0)) * 2).round().to(dtype)
    for lanes in (1021, 509):
        sums, rest = module._summed(tensor, lanes)
        rows = size * tensor.element_size() // (8 * lanes) if len(sums) else 0
        on_device = module._summed_on_device(tensor, rows, lanes)
        assert [part.tobytes() for part in on_device] == [sums.tobytes(), rest.tobytes()]
        assert bool(rows) == (size * tensor.element_size() >= 16 * lanes)


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.integers(1, 60), st.integers(0, 1))
def test_logical_digests_are_equal_just_where_bits_are(seed, n, c, w, changes):
    tensor = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, c, 5, w)).astype(np.float32))
    last = tensor.contiguous(memory_format=torch.channels_last)
    other = last.clone()
    if changes:
        place = seed % tensor.numel()
        values = other.flatten()
        values[place] = torch.nextafter(values[place], torch.tensor(9.0))
        other = values.reshape(tensor.shape)
    assert (logical_digest(tensor) == logical_digest(other.contiguous())) == (not changes)
    assert logical_digest(tensor) == logical_digest(last.contiguous())
    assert logical_digest(tensor) < 2**64


def test_logical_digests_see_order_and_signs():
    values = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    others = [values, values.flip(0), -values, values.roll(1), values.roll(2 * 1021), values.roll(3), values[:-1]]
    assert len({logical_digest(tensor.contiguous()) for tensor in others}) == len(others)
