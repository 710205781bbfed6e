import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from lastbit.divergence import cosine


def _one(value):
    return torch.tensor([value], dtype=torch.float64)


@given(st.floats(1e-15, math.pi), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_finds_the_angle_it_was_given(angle, size, others_size):
    one = {"x": _one(size), "y": _one(0.0)}
    other = {"x": _one(others_size * math.cos(angle)), "y": _one(others_size * math.sin(angle))}
    found = cosine(one, other)
    assert found.angle == pytest.approx(angle, rel=1e-9, abs=1e-15)
    assert found.value == pytest.approx(math.cos(angle), abs=1e-12)


def test_is_torchs_cosine_similarity_of_all_weights_together():
    one, other = (
        {n: torch.randn(5, 3, generator=torch.Generator().manual_seed(i + j)) for j, n in enumerate("ab")}
        for i in (0, 9)
    )
    flat = [torch.cat([t.flatten() for t in network.values()]) for network in (one, other)]
    assert cosine(one, other).value == pytest.approx(float(functional.cosine_similarity(*flat, dim=0)), abs=1e-6)


def test_sees_a_single_last_bit_where_the_similarity_is_one():
    one = torch.ones(4)
    other = one.clone()
    other[0] = torch.nextafter(other[0], torch.tensor(2.0))
    found = cosine({"w": one}, {"w": other})
    assert found.value == pytest.approx(1, abs=1e-14)
    across = 2**-23 * math.sqrt(3) / 2  # the difference without its part along (1, 1, 1, 1)
    assert found.angle == pytest.approx(across / 2, rel=1e-6)


@pytest.mark.parametrize("bad", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_has_no_direction_without_finite_weights_other_than_zero(bad):
    found = cosine({"w": torch.tensor(bad)}, {"w": torch.ones(2)})
    assert math.isnan(found.value)
    assert math.isnan(found.angle)


def test_refuses_networks_that_differ():
    with pytest.raises(ValueError, match="'v' is only in one"):
        cosine({"w": torch.ones(2)}, {"v": torch.ones(2)})
