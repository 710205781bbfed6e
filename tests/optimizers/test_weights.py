"""Neighbours of numbers against numpy's nextafter, and weights read and written at chosen places."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.noise.stepping import INTEGERS

from lastbit.optimizers.weights import disturbable, neighbour, put, real, take

TENSORS = {
    "contiguous": lambda: torch.arange(24.0).reshape(2, 3, 4),
    "channels_last": lambda: torch.arange(48.0).reshape(2, 3, 2, 4).contiguous(memory_format=torch.channels_last),
    "transposed": lambda: torch.arange(24.0).reshape(4, 6).t(),
    "with_gaps": lambda: torch.arange(48.0).reshape(6, 8)[:, 1:5],
    "scalar": lambda: torch.tensor(3.0),
    "complex": lambda: torch.view_as_complex(torch.arange(24.0).reshape(3, 4, 2)),
    "complex_transposed": lambda: torch.view_as_complex(torch.arange(24.0).reshape(3, 4, 2)).t(),
}


@pytest.fixture(params=TENSORS.values(), ids=TENSORS.keys())
def weight(request):
    return request.param()


def test_places_name_each_number_once(weight):
    numbers = real(weight)
    found = take(weight, torch.arange(numbers.numel()))
    assert sorted(found.tolist()) == sorted(numbers.flatten().tolist())
    assert len(set(found.tolist())) == numbers.numel()


def test_what_is_put_is_taken_and_nothing_else_changes(weight):
    numbers = real(weight)
    places = torch.arange(numbers.numel())[::3].flip(0)
    old, before = take(weight, places), numbers.clone()
    put(weight, places, -1 - torch.arange(float(len(places))))
    assert torch.equal(take(weight, places), -1 - torch.arange(float(len(places))))
    changed = real(weight) != before
    assert sorted(before[changed].tolist()) == sorted(old.tolist())


def test_dense_weights_are_counted_as_they_lie_in_memory():
    weight = TENSORS["channels_last"]()
    assert take(weight, torch.arange(3)).tolist() == [0, 8, 16]


def test_only_weights_with_a_last_place_are_disturbed():
    weights = [
        torch.zeros(2),
        torch.zeros(2, dtype=torch.int64),
        torch.zeros(0),
        torch.zeros(1, dtype=torch.complex128),
    ]
    found = disturbable([{"params": weights[:2]}, {"params": weights[2:]}])
    assert [id(weight) for weight in found] == [id(weights[0]), id(weights[3])]


def test_sparse_weights_are_refused():
    with pytest.raises(ValueError, match=r"layout torch\.sparse_coo cannot be disturbed"):
        disturbable([{"params": [torch.eye(2).to_sparse()]}])


SHORT = (torch.float16, torch.bfloat16)
NUMPY = {torch.int16: np.int16, torch.int32: np.int32, torch.int64: np.int64}


def from_bits(bits, dtype):
    return torch.from_numpy(np.array(bits, NUMPY[INTEGERS[dtype]])).view(dtype)


def is_normal(values):
    info = torch.finfo(values.dtype)
    magnitude = values.double().abs()
    return (magnitude >= info.smallest_normal) & (magnitude <= info.max)


def expected(values, up):
    """nextafter where both it and the value are normal, else the value."""
    limit = torch.full((), torch.inf if up else -torch.inf, dtype=values.dtype)
    found = torch.nextafter(values, limit)
    return torch.where(is_normal(values) & is_normal(found), found, values)


def same_bits(one, other):
    return torch.equal(one.view(INTEGERS[one.dtype]), other.view(INTEGERS[other.dtype]))


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("dtype", SHORT)
def test_every_short_number(dtype, up):
    values = from_bits(np.arange(-(2**15), 2**15), dtype)
    found = neighbour(values, up)
    assert same_bits(found, expected(values, up))
    assert (found != values).sum() > 60_000 * (dtype is torch.bfloat16) + 55_000 * (dtype is torch.float16)


def test_the_oracle_for_half_precision_is_numpys():
    values = np.arange(-(2**15), 2**15).astype(np.int16).view(np.float16)
    values = values[np.abs(values) < np.finfo(np.float16).max]
    theirs = torch.nextafter(torch.from_numpy(values), torch.tensor(torch.inf, dtype=torch.float16))
    assert np.array_equal(theirs.numpy().view(np.int16), np.nextafter(values, np.float16(np.inf)).view(np.int16))


@given(bits=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), up=st.booleans())
def test_any_bits_of_float32(bits, up):
    values = from_bits(bits, torch.float32)
    assert same_bits(neighbour(values, up), expected(values, up))


@given(bits=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), up=st.booleans())
def test_any_bits_of_float64(bits, up):
    values = from_bits(bits, torch.float64)
    assert same_bits(neighbour(values, up), expected(values, up))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("up", [True, False])
def test_the_ends_of_the_normal_range(dtype, up):
    info = torch.finfo(dtype)
    ends = [0.0, -0.0, torch.inf, -torch.inf, torch.nan, info.smallest_normal / 2, info.smallest_normal, info.max, 1.0]
    values = torch.tensor([sign * end for end in ends for sign in (1, -1)], dtype=dtype)
    found = neighbour(values, up)
    assert same_bits(found, expected(values, up))
    moved = [value for value, after in zip(values.tolist(), found.tolist(), strict=True) if after != value]
    inner = [value for value in (info.smallest_normal, -info.max) if up]
    inner += [value for value in (-info.smallest_normal, info.max) if not up]
    assert sorted(value for value in moved if value == value) == sorted([*inner, 1.0, -1.0])


def test_each_its_own_way_whatever_the_strides():
    values = torch.linspace(-2, 2, 24).reshape(4, 6).t()
    up = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    found = neighbour(values, up)
    assert same_bits(found.contiguous(), torch.where(up, expected(values, True), expected(values, False)).contiguous())
    assert found.shape == values.shape
    assert neighbour(torch.tensor(1.0), True).item() == 1 + 2**-23
    assert neighbour(torch.tensor(1.0), False).item() == 1 - 2**-24
