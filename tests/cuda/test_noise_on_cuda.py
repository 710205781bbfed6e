"""Noises on a CUDA device: controls bit for bit, roundings against float64."""

from dataclasses import replace

import pytest
import torch

import lastbit as lb
from lastbit.optimizers.kernels import divided

DEVICES = ("cpu", "cuda")
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    "adam": (torch.optim.Adam, {"weight_decay": 0.01}),
    "adamw": (torch.optim.AdamW, {}),
}
KERNELS = ({}, {"foreach": True}, {"foreach": False})


def weights(device, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = ((7, 11), (40, 5), (3, 2, 3, 3))
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [torch.nn.Parameter(each.to(device, dtype)) for each in drawn]


def walk(kind, noise=None, *, device="cuda", dtype=torch.float32, steps=4, **options):
    """Weights after some steps through gradients that the step decides."""
    params, generator = weights(device, dtype), torch.Generator().manual_seed(1)
    optimizer = kind(params, lr=0.01, **options)
    if noise is not None:
        optimizer = lb.perturb(optimizer, noise)
    for _ in range(steps):
        for param in params:
            drawn = torch.randn(param.shape, generator=generator, dtype=torch.float64)
            param.grad = drawn.to(device, dtype)
        optimizer.step()
    return [param.detach().cpu() for param in params]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("options", KERNELS, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_powers_of_two_change_no_bit(name, options, dtype):
    kind, own = OPTIMIZERS[name]
    plain = walk(kind, dtype=dtype, **own, **options)
    for k in (1, 2, 4, 1024):
        assert same(walk(kind, lb.Scale(k), dtype=dtype, **own, **options), plain), k


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("k", [3, 5, 7])
def test_a_direction_is_divided_and_not_multiplied_by_a_reciprocal(k, dtype):
    numbers = torch.randn(10_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    (found,) = divided([numbers.cuda()], k, in_place=False)
    assert torch.equal(found.cpu(), numbers / torch.full_like(numbers, k))


@pytest.mark.parametrize("k", [3, 5, 7])
def test_one_step_of_sgd_is_one_of_the_two_roundings_of_the_formula(k):
    """theta - fl(lr k) fl(g / k), the product rounded or, fused with the difference, not."""
    before = [each.detach().cpu() for each in weights("cpu")]
    after = walk(torch.optim.SGD, lb.Scale(k), steps=1)
    generator = torch.Generator().manual_seed(1)
    grads = [torch.randn(each.shape, generator=generator, dtype=torch.float64).float() for each in before]
    rate = torch.tensor(0.01 * k, dtype=torch.float32).double()
    for theta, grad, found in zip(before, grads, after, strict=True):
        product = rate * (grad / k).double()  # exact: 48 bits of a double's 53
        fused, rounded = (theta.double() - product).float(), theta - product.float()
        assert bool(((found == fused) | (found == rounded)).all())


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_other_ks_move_some_weights_by_little(name):
    kind, own = OPTIMIZERS[name]
    plain, moved = (torch.cat([w.ravel() for w in walk(kind, lb.Scale(k), **own)]) for k in (1, 3))
    assert int((plain != moved).sum()) > 0
    assert float((plain - moved).norm() / plain.norm()) < 1e-6


@pytest.mark.parametrize("device", DEVICES)
def test_a_unit_in_the_last_place_moves_one_weight_and_the_same_one_on_both(device):
    plain, moved = (walk(torch.optim.SGD, noise, steps=1, device=device) for noise in (None, lb.Ulp(5)))
    units = torch.cat([(a.view(torch.int32) - b.view(torch.int32)).ravel() for a, b in zip(plain, moved, strict=True)])
    assert units.abs().sum() == 1
    here = walk(torch.optim.SGD, lb.Ulp(5), steps=1, device="cpu")
    changed = [bool((a != b).any()) for a, b in zip(plain, moved, strict=True)]
    reference = [bool((a != b).any()) for a, b in zip(walk(torch.optim.SGD, steps=1, device="cpu"), here, strict=True)]
    assert changed == reference


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("noise", [lb.Rounding(0.3, 1), lb.Ulp(2)], ids=str)
def test_seeds_decide_everything(noise, fused):
    one, again = (walk(torch.optim.Adam, noise, fused=fused) for _ in range(2))
    assert same(one, again)
    assert not same(one, walk(torch.optim.Adam, replace(noise, seed=9), fused=fused))


def test_a_share_of_the_weights_is_rounded_by_one_unit():
    plain, moved = (walk(torch.optim.SGD, noise, steps=1) for noise in (None, lb.Rounding(0.3, 1)))
    units = torch.cat([(a.view(torch.int32) - b.view(torch.int32)).ravel() for a, b in zip(plain, moved, strict=True)])
    assert set(units.abs().tolist()) == {0, 1}
    assert 0.2 < float((units != 0).double().mean()) < 0.4


@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")
def test_a_step_in_a_cuda_graph_is_refused_in_words():
    params = weights("cuda")
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer = lb.perturb(torch.optim.SGD(params, lr=0.1), lb.Rounding(0.3, 1))
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="captured in a CUDA graph cannot be disturbed"), torch.cuda.graph(graph):
        optimizer.step()
