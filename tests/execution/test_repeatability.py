from itertools import count

import pytest
import torch

from lastbit.execution.repeatability import Condition, check_operation, check_operations, operations, repeats

NAMES = ["matrix product", "convolution", "convolution, backward", "sum", "scatter-add"]


def test_every_operation_is_repeated_and_none_is_unsound_here():
    calls = []
    found = check_operations("cpu", lambda: calls.append(1))
    assert [check.name for check in found] == NAMES
    assert all(check.outcome is not Condition.FAILS for check in found)
    assert len(calls) == len(NAMES)


def test_the_operations_compute_what_they_are_named_for():
    made = operations("cpu")
    (total,), (scattered,) = made["sum"](), made["scatter-add"]()
    assert scattered.shape == (64,)
    assert torch.allclose(scattered.double().sum(), total.double(), atol=1e-2)
    images, filters = made["convolution, backward"]()
    assert (images.shape, filters.shape) == ((32, 16, 16, 16), (32, 16, 3, 3))


def test_an_operation_that_differs_once_fails():
    calls = count()
    assert not repeats(lambda: (torch.tensor([1.0, 2.0 if next(calls) != 13 else 2.0000002]),))
    calls = count()
    check = check_operation("sum", lambda: (torch.tensor([float(next(calls) == 13)]),))
    assert check.outcome is Condition.FAILS
    assert "different bits" in check.said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_bits_are_compared_and_not_values(value):
    assert repeats(lambda: (torch.tensor([value]),))
    signs = count()
    assert not repeats(lambda: (torch.tensor([0.0 if next(signs) % 2 else -0.0]),))


@pytest.mark.parametrize("before", [False, True])
def test_what_only_repeats_deterministically_is_a_note(before, request):
    """Whatever the process asked of torch before, which is put back."""
    request.addfinalizer(lambda: torch.use_deterministic_algorithms(False))
    torch.use_deterministic_algorithms(before)
    calls = count()

    def atomics():
        return (torch.tensor([0.0 if torch.are_deterministic_algorithms_enabled() else float(next(calls))]),)

    check = check_operation("scatter-add", atomics)
    assert check.outcome is Condition.NOTE
    assert "torch.use_deterministic_algorithms(True)" in check.said
    assert torch.are_deterministic_algorithms_enabled() == before


def test_an_operation_without_a_deterministic_kernel_fails_with_torchs_reason():
    def refuses():
        raise RuntimeError("cumsum does not have a deterministic implementation\nmore")

    check = check_operation("sum", refuses)
    assert check.outcome is Condition.FAILS
    assert check.said.endswith("here: cumsum does not have a deterministic implementation")
