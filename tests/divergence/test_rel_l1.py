import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lastbit.divergence import rel_l1

finite = st.floats(-(2.0**99), 2.0**99, width=32)
pairs = hnp.array_shapes(max_dims=3).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=finite), hnp.arrays(np.float32, shape, elements=finite)
    )
)


def by_the_formula(one: np.ndarray, other: np.ndarray) -> float:
    total = 0.0
    for w, v in zip(one.ravel().astype(float), other.ravel().astype(float), strict=True):
        total += abs(w - v) / (abs(w) + abs(v)) if w != v else 0.0
    return 2 * total / one.size


@given(pairs)
def test_is_the_papers_formula(pair):
    one, other = (torch.from_numpy(array) for array in pair)
    assert rel_l1({"w": one}, {"w": other}).value == pytest.approx(by_the_formula(*pair), abs=1e-12)


@given(pairs)
def test_is_symmetric_between_zero_and_two_and_blind_to_scale(pair):
    one, other = ({"w": torch.from_numpy(array).double()} for array in pair)
    value = rel_l1(one, other).value
    assert 0 <= value <= 2
    assert rel_l1(other, one).value == value
    assert rel_l1({"w": one["w"] * 3}, {"w": other["w"] * 3}).value == pytest.approx(value, abs=1e-12)


def test_weighs_every_weight_alike_and_reports_each_tensor():
    one = {"large": torch.ones(3), "small": torch.ones(1)}
    other = {"large": torch.ones(3), "small": -torch.ones(1)}
    found = rel_l1(one, other)
    assert found.tensors == {"large": 0.0, "small": 2.0}
    assert found.value == 2.0 / 4


@pytest.mark.parametrize(("dtype", "spacing"), [(torch.float32, 2**-23), (torch.float64, 2**-52)])
def test_sees_one_unit_in_the_last_place(dtype, spacing):
    one = torch.ones(1, dtype=dtype)
    assert rel_l1({"w": one}, {"w": one + spacing}).value == pytest.approx(spacing, rel=1e-6)


def test_zero_against_zero_is_no_difference_and_not_a_number_stays_so():
    assert rel_l1({"w": torch.zeros(2)}, {"w": torch.zeros(2)}).value == 0
    assert math.isnan(rel_l1({"w": torch.tensor([1.0, math.nan])}, {"w": torch.ones(2)}).value)


def test_does_not_overflow_at_the_largest_float32():
    largest = torch.finfo(torch.float32).max
    assert rel_l1({"w": torch.tensor([largest])}, {"w": torch.tensor([-largest])}).value == 2


@pytest.mark.parametrize(
    ("other", "complaint"),
    [({"v": torch.ones(2)}, "'v' is only in one"), ({"w": torch.ones(3)}, r"shape \(2,\) in one network and \(3,\)")],
)
def test_refuses_networks_that_differ(other, complaint):
    with pytest.raises(ValueError, match=complaint):
        rel_l1({"w": torch.ones(2)}, other)


def test_refuses_networks_without_weights():
    with pytest.raises(ValueError, match="no weight"):
        rel_l1({"w": torch.ones(0)}, {"w": torch.ones(0)})
