import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lastbit.divergence import relative_l2

finite = st.floats(-(2.0**99), 2.0**99, width=32)
pairs = hnp.array_shapes(max_dims=3).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=finite), hnp.arrays(np.float32, shape, elements=finite)
    )
)


@given(pairs)
def test_is_numpys_norm_of_the_difference_over_that_of_the_reference(pair):
    one, other = (torch.from_numpy(array) for array in pair)
    found = relative_l2({"w": one}, {"w": other})
    difference, size = (np.linalg.norm(x.astype(float).ravel()) for x in (pair[0].astype(float) - pair[1], pair[1]))
    assert found.norms["w"] == pytest.approx(difference, rel=1e-12)
    if size:
        assert found.value == pytest.approx(difference / size, rel=1e-12)


def test_joins_tensors_as_one_vector_and_reports_each():
    found = relative_l2({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}, {"a": torch.zeros(1), "b": torch.ones(1)})
    assert found.value == pytest.approx(math.sqrt(9 + 9) / 1)
    assert found.norms == {"a": 3.0, "b": 3.0}
    assert found.tensors == {"a": math.inf, "b": 3.0}


def test_the_difference_is_taken_in_float64():
    one = torch.ones(1)
    assert relative_l2({"w": one + 2**-23}, {"w": one}).value == 2**-23
    largest = torch.finfo(torch.float32).max
    assert relative_l2({"w": torch.tensor([largest])}, {"w": torch.tensor([-largest])}).value == pytest.approx(2)


def test_sees_a_last_bit_whose_square_underflows_and_weights_whose_square_overflows():
    tiny = torch.tensor([5e-324, 0.0], dtype=torch.float64)
    assert relative_l2({"w": tiny}, {"w": torch.zeros(2).double()}).norms["w"] == 5e-324
    huge = torch.tensor([1e200, 0.0], dtype=torch.float64)
    assert relative_l2({"w": huge}, {"w": 2 * huge}).value == pytest.approx(0.5)


def test_zero_against_zero_is_no_difference_and_what_is_not_finite_stays_so():
    assert relative_l2({"w": torch.zeros(2)}, {"w": torch.zeros(2)}).value == 0
    assert math.isnan(relative_l2({"w": torch.tensor([1.0, math.nan])}, {"w": torch.ones(2)}).value)
    assert relative_l2({"w": torch.tensor([1.0, math.inf])}, {"w": torch.ones(2)}).value == math.inf


def test_refuses_networks_that_differ():
    with pytest.raises(ValueError, match="'v' is only in one"):
        relative_l2({"w": torch.ones(2)}, {"v": torch.ones(2)})
