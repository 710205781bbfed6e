import pytest
import torch

from lastbit.divergence import churn


def test_counts_the_predictions_that_differ():
    assert churn(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 0, 3, 0])) == 0.5
    assert churn(torch.tensor([1, 2]), torch.tensor([1, 2])) == 0


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((0,), (0,))])
def test_refuses_what_cannot_be_compared(shapes):
    one, other = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="non-empty predictions of the same examples"):
        churn(one, other)
