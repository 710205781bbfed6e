import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastbit.script.audit.evidence import TensorDifference, compare_tensors


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(1, 50))
def test_ulps_are_steps_of_nextafter(value, steps):
    moved = np.float32(value)
    with np.errstate(over="ignore"):  # beyond the largest number there is infinity
        for _ in range(steps):
            moved = np.nextafter(moved, np.float32(np.inf))
    if np.isfinite(moved):
        found = compare_tensors(torch.tensor([value, 1.0]), torch.tensor([float(moved), 1.0]))
        assert (found.elements, found.max_ulp) == (1, steps)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (torch.tensor([1, 2, 3]), torch.tensor([3, 2, 1]), TensorDifference(2, None, permuted=True)),
        (torch.tensor([1, 2, 3]), torch.tensor([1, 2, 4]), TensorDifference(1, None, permuted=False)),
        (torch.tensor([0.0]), torch.tensor([-0.0]), TensorDifference(1, 0, permuted=False)),
        (torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0]), TensorDifference(1, 0, permuted=False)),
        (torch.tensor(float("inf")), torch.tensor(float("nan")), TensorDifference(1, None, permuted=False)),
        (torch.tensor([True, False]), torch.tensor([True, True]), TensorDifference(1, None, permuted=False)),
        (torch.zeros(0), torch.zeros(0), TensorDifference(0, None, permuted=False)),
    ],
)
def test_elements_are_counted_by_their_bits(one, other, expected):
    assert compare_tensors(one, other) == expected
