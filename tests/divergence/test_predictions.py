import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastbit.divergence import churn, logit_distance


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_of_two_classes_is_the_difference_of_two_logistic_functions(z, other_z):
    found = logit_distance(
        torch.tensor([[z, 0.0]], dtype=torch.float64), torch.tensor([[other_z, 0.0]], dtype=torch.float64)
    )
    expected = abs(1 / (1 + math.exp(-z)) - 1 / (1 + math.exp(-other_z)))
    assert found.total_variation == pytest.approx(expected, abs=1e-14)
    assert found.largest_total_variation == found.total_variation
    assert found.largest == pytest.approx(abs(z - other_z))


def test_averages_over_examples_and_keeps_the_worst():
    one = torch.tensor([[0.0, 0.0], [100.0, -100.0], [3.0, 4.0]])
    other = torch.tensor([[0.0, 0.0], [-100.0, 100.0], [3.0, 4.0]])
    found = logit_distance(one, other)
    assert found.total_variation == pytest.approx(1 / 3)
    assert found.largest_total_variation == pytest.approx(1)
    assert found.largest == 200
    assert found.relative_l2 == pytest.approx(math.sqrt(2) * 200 / math.sqrt(2 * 100**2 + 25))


def test_a_common_shift_moves_the_logits_and_no_probability():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    found = logit_distance(logits + 1, logits)
    assert found.total_variation == pytest.approx(0, abs=1e-15)
    assert found.largest == pytest.approx(1)


def test_zero_logits_and_what_is_not_finite():
    assert logit_distance(torch.zeros(2, 2), torch.zeros(2, 2)).relative_l2 == 0
    assert logit_distance(torch.ones(2, 2), torch.zeros(2, 2)).relative_l2 == math.inf
    found = logit_distance(torch.tensor([[math.nan, 0.0]]), torch.zeros(1, 2))
    assert all(math.isnan(value) for value in vars(found).values())


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((4,), (4,)), ((0, 3), (0, 3))])
def test_refuses_what_are_no_logits_of_the_same_examples(shapes):
    one, other = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="examples, classes"):
        logit_distance(one, other)


def test_churn_counts_the_predictions_that_differ():
    assert churn(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 0, 3, 0])) == 0.5
    assert churn(torch.tensor([1, 2]), torch.tensor([1, 2])) == 0


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((0,), (0,))])
def test_churn_refuses_what_cannot_be_compared(shapes):
    one, other = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="non-empty predictions of the same examples"):
        churn(one, other)
