import pytest
import torch

from lastbit.optimizers.weights import disturbable, put, real, take

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
