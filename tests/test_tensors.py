import torch
from hypothesis import given
from hypothesis import strategies as st

from lastbit.tensors import bits, plain


@given(st.lists(st.floats(width=32), min_size=4, max_size=4))
def test_bits_are_numpys_in_the_order_of_the_indices(values):
    tensor = torch.tensor(values).view(2, 2)
    assert bits(tensor) == tensor.numpy().tobytes()
    assert bits(tensor.T) == tensor.numpy().T.copy().tobytes()


def test_bits_tell_zeros_apart_and_see_any_format():
    assert bits(torch.tensor(0.0)) != bits(torch.tensor(-0.0))
    assert len(bits(torch.ones(3, dtype=torch.bfloat16, requires_grad=True))) == 6


def test_a_plain_copy_shares_nothing():
    weight = torch.ones(2, 3, requires_grad=True)
    copy = plain(weight.T)
    assert (copy.is_contiguous(), copy.requires_grad, copy.data_ptr() == weight.data_ptr()) == (True, False, False)
    assert torch.equal(copy, weight.T)
