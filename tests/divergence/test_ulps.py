import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastbit.divergence import ulp_distance, ulp_histogram

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
SIXTEEN = (torch.float16, torch.bfloat16)


def line(dtype):
    """Every finite number of a 16-bit format, ascending, with zero once."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    return torch.unique(every[every.isfinite()].double()).to(dtype)


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_counts_places_on_the_line_of_all_numbers(dtype):
    numbers = line(dtype)
    generator = torch.Generator().manual_seed(0)
    i, j = (torch.randint(0, len(numbers), (20_000,), generator=generator) for _ in range(2))
    assert (ulp_distance(numbers[i], numbers[j]) == (i - j).abs().numpy().astype(np.uint64)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(start=st.floats(-(2.0**99), 2.0**99, width=32), steps=st.integers(0, 40))
def test_counts_the_steps_of_nextafter(dtype, start, steps):
    one = torch.tensor(start, dtype=dtype)
    other = one.clone()
    for _ in range(steps):
        other = torch.nextafter(other, torch.tensor(math.inf, dtype=dtype))
    assert int(ulp_distance(one, other)) == int(ulp_distance(other, one)) == steps


@pytest.mark.parametrize("dtype", DTYPES)
def test_goes_through_zero_once_and_zero_has_no_sign(dtype):
    tiny = torch.tensor(torch.finfo(dtype).smallest_normal, dtype=dtype)
    mantissa = {torch.float64: 52, torch.float32: 23, torch.float16: 10, torch.bfloat16: 7}[dtype]
    assert int(ulp_distance(torch.zeros((), dtype=dtype), -torch.zeros((), dtype=dtype))) == 0
    assert int(ulp_distance(tiny, -tiny)) == 2 * 2**mantissa


def test_the_longest_way_does_not_overflow():
    largest = torch.tensor(torch.finfo(torch.float64).max, dtype=torch.float64)
    assert int(ulp_distance(largest, -largest)) == 2 * (0x7FEF_FFFF_FFFF_FFFF)
    found = ulp_histogram({"w": largest[None]}, {"w": -largest[None]})
    assert found.largest == 2 * 0x7FEF_FFFF_FFFF_FFFF
    assert found.counts[64] == 1


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_bins_by_powers_of_two_as_counted_one_by_one(dtype, data):
    values = st.lists(st.floats(-100, 100, width=16), min_size=1, max_size=20)
    one = torch.tensor(data.draw(values), dtype=torch.float64).to(dtype)
    other = torch.roll(one, 1)
    found = ulp_histogram({"w": one}, {"w": other})
    lengths = [int(ulps).bit_length() for ulps in ulp_distance(one, other)]
    assert found.counts == tuple(lengths.count(i) for i in range(max(lengths) + 1))
    for (low, high), count in zip(found.edges, found.counts, strict=True):
        assert count == sum(low <= int(ulps) <= high for ulps in ulp_distance(one, other))


def test_joins_tensors_and_says_what_changed():
    one = {"a": torch.ones(3), "b": torch.ones(1)}
    other = {"a": torch.tensor([1.0, 1 + 2**-23, 1 - 2**-24]), "b": torch.tensor([1 + 2**-20])}
    found = ulp_histogram(one, other)
    assert found.counts == (1, 2, 0, 0, 1)
    assert found.edges == ((0, 0), (1, 1), (2, 3), (4, 7), (8, 15))
    assert (found.largest, found.not_finite, found.changed) == (8, 0, 0.75)


def test_what_is_not_finite_is_counted_apart():
    found = ulp_histogram(
        {"w": torch.tensor([1.0, math.nan, math.inf, 2.0])}, {"w": torch.tensor([1.0, 1.0, math.inf, -math.inf])}
    )
    assert (found.counts, found.not_finite) == ((1,), 3)
    nothing = ulp_histogram({"w": torch.tensor([math.nan])}, {"w": torch.ones(1)})
    assert (nothing.counts, nothing.largest) == ((0,), 0)
    assert math.isnan(nothing.changed)


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.float64), (torch.int32, torch.int32)])
def test_refuses_dtypes_that_have_no_common_ulp(dtypes):
    one, other = (torch.ones(1).to(dtype) for dtype in dtypes)
    with pytest.raises(TypeError, match="ulps are of one dtype"):
        ulp_histogram({"w": one}, {"w": other})
