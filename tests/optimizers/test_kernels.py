import numpy as np
import pytest
import torch
from tests.noise.stepping import same_bits

from lastbit.optimizers.kernels import batches, divided, for_loop, foreach

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def draws(dtype: torch.dtype, *, count: int = 1) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [[torch.randn(n, generator=generator).to(dtype) for n in (1, 17, 1000)] for _ in range(count)]


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64])
@pytest.mark.parametrize(("name", "number"), [("mul_", 0.9), ("div_", 0.3), ("add_", 0.01)])
def test_foreach_has_the_bits_of_torchs_foreach(dtype, name, number):
    ours, theirs = (draws(dtype)[0] for _ in range(2))
    assert all(result is given for result, given in zip(foreach(name, ours, number), ours, strict=True))
    getattr(torch, f"_foreach_{name}")(theirs, number)
    assert same_bits(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", [foreach, for_loop])
def test_lists_go_one_to_a_tensor(dtype, run):
    left, right = draws(dtype, count=2)
    expected = [a.add(b, alpha=0.5) for a, b in zip(left, right, strict=True)]
    assert same_bits(run("add", left, right, alpha=0.5), expected)
    assert same_bits(run("add_", left, right, alpha=0.5), expected)
    assert same_bits(left, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_for_loop_and_foreach_agree_where_they_are_taken_to(dtype):
    results = []
    for run in (foreach, for_loop):
        a, b, c = draws(dtype, count=3)
        run("mul_", a, 0.9)
        run("add_", a, b, alpha=-0.3)
        run("lerp_", a, c, 0.1)
        run("addcmul_", a, b, c, value=0.7)
        run("addcdiv_", a, b, c, value=-0.7)
        run("div_", a, 0.7)
        run("add_", a, 1e-8)
        results.append(a)
    assert same_bits(*results)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [3, 7, 257, 2**24 - 1])
@pytest.mark.parametrize("in_place", [False, True])
def test_division_is_correctly_rounded(dtype, k, in_place):
    given = draws(dtype)[0]
    # Rounding twice, to double and then on, is as good as once: double has more than twice the digits.
    expected = [(torch.from_numpy(np.divide(value.double().numpy(), k))).to(dtype) for value in given]
    before = [value.clone() for value in given]
    result = divided(given, k, in_place=in_place)
    assert same_bits(result, expected)
    assert same_bits(given, expected if in_place else before)


def test_division_of_complex_numbers_divides_their_parts():
    (given,) = draws(torch.complex64)
    expected = [torch.view_as_complex(torch.view_as_real(value) / 3) for value in given]
    assert same_bits(divided(given, 3, in_place=False), expected)


def test_division_of_sparse_tensors_divides_their_values():
    given = torch.tensor([[0.0, 1.0], [5.0, 0.0]]).to_sparse()
    (result,) = divided([given], 3, in_place=False)
    assert torch.equal(result.to_dense(), torch.tensor([[0.0, 1.0], [5.0, 0.0]]) / 3)
    assert torch.equal(given.to_dense(), torch.tensor([[0.0, 1.0], [5.0, 0.0]]))


def split(params: list[torch.Tensor], prefer_foreach: bool | None):
    return list(batches([params, params, []], prefer_foreach=prefer_foreach))


def test_batches_keep_the_order_and_part_the_dtypes():
    params = [torch.ones(1), torch.ones(2, dtype=torch.float64), torch.ones(3)]
    found = {batch[0][0].dtype: [[len(p) for p in each] for each in batch] for batch, _ in split(params, None)}
    assert found == {torch.float32: [[1, 3], [1, 3], []], torch.float64: [[2], [2], []]}
    assert split([], None) == []


@pytest.mark.parametrize(
    ("dtype", "prefer_foreach", "expected"),
    [
        (torch.float32, None, foreach),
        (torch.float32, False, foreach),  # the same bits, faster
        (torch.float64, True, foreach),
        (torch.bfloat16, None, for_loop),
        (torch.bfloat16, False, for_loop),
        (torch.bfloat16, True, foreach),
        (torch.complex64, None, for_loop),
    ],
)
def test_kernels_are_those_whose_bits_torch_would_give(dtype, prefer_foreach, expected):
    ((_, run),) = split([torch.ones(2, dtype=dtype)], prefer_foreach)
    assert run is expected


def test_sparse_gradients_go_one_by_one():
    param = torch.ones(2, 2)
    ((_, run),) = batches([[param], [param.to_sparse()], []], prefer_foreach=True)
    assert run is for_loop
