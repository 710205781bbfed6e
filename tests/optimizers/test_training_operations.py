"""Which operations belong to the training of an optimizer's weights, and which of them round."""

import copy
import gc

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import lastbit as lb
from lastbit.optimizers.operations import TrainingOperations, watch_operations
from lastbit.optimizers.rounded import base_name, rounded_results

SAMPLES = {
    "exact": [
        lambda x: x.relu(),
        lambda x: functional.hardtanh(x),
        lambda x: functional.max_pool2d(x[None], 2),
        lambda x: x.clamp(-0.5, 0.5),
        lambda x: x.abs().neg(),
        lambda x: x.amax(1),
        lambda x: x.sort(1).values,
        lambda x: x.topk(2, 1).values,
        lambda x: torch.cat([x, x]).flip(0).roll(1, 0),
        lambda x: functional.pad(x, (1, 1)).masked_fill(torch.ones(6).bool(), 0),
        lambda x: functional.embedding(torch.tensor([0, 1]), x[0]),
        lambda x: x.index_select(0, torch.tensor([1])).gather(1, torch.zeros(1, 1, 1).long()),
        lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
        lambda x: functional.interpolate(x[None], scale_factor=2),
        lambda x: x.clone().contiguous().floor(),
        lambda x: x[[0, 1]].tril(),
        lambda x: x.to(torch.float64),
    ],
    "rounds": [
        lambda x: x + x.roll(1, 0),
        lambda x: x.clone().mul_(0.3),
        lambda x: x / 3,
        lambda x: x @ x,
        lambda x: x.exp(),
        lambda x: functional.softmax(x, 1),
        lambda x: functional.gelu(x),
        lambda x: functional.leaky_relu(x, 0.3),
        lambda x: functional.layer_norm(x, x.shape[1:]),
        lambda x: functional.batch_norm(x[None], None, None, training=True),
        lambda x: functional.conv2d(x[None], x[:, :, :2, None]),
        lambda x: functional.avg_pool2d(x[None], 3),
        lambda x: functional.scaled_dot_product_attention(x, x, x),
        lambda x: x.sum(),
        lambda x: x.norm(),
        lambda x: torch.stack(torch._foreach_mul([x, x], 0.3)),
        lambda x: torch.zeros(4, 4).index_put([torch.tensor([1, 1])], x[0, :2], accumulate=True),
    ],
}


class Conclusions(TorchDispatchMode):
    """Whether some operation was said to round, and whether some result that it gave really was rounded.

    The truth is found by computing it again in double precision from the very same inputs.
    """

    def __init__(self):
        super().__init__()
        self.said = self.true = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        doubled = torch.utils._pytree.tree_map(doubled_tensor, (args, kwargs))
        result = func(*args, **kwargs)
        if func.is_view or kwargs.get("dtype") is torch.float64:
            return result
        self.said |= bool(rounded_results(func, args, kwargs, result))
        exact = func(*doubled[0], **doubled[1])
        pairs = zip(*(torch.utils._pytree.tree_leaves(each) for each in (result, exact)), strict=True)
        self.true |= any(
            one.is_floating_point() and not torch.equal(one.double(), other.double()) for one, other in pairs
        )
        return result


def doubled_tensor(value):
    if not isinstance(value, torch.Tensor):
        return value
    return value.double() if value.dtype is torch.float32 else value.clone()


@pytest.mark.parametrize("kind", SAMPLES)
def test_rounds_is_what_double_precision_shows(kind):
    x = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(0))
    for place, call in enumerate(SAMPLES[kind]):
        with Conclusions() as seen:
            call(x)
        assert (seen.said, seen.true) == (kind == "rounds",) * 2, f"sample {place}"


def test_conversions_round_where_digits_are_lost():
    x = torch.randn(3)
    copies = ((x.double(), torch.float32), (x, torch.bfloat16), (x, torch.float64), (x.long(), torch.float32))
    found = []
    for tensor, dtype in copies:
        with Conclusions() as seen:
            tensor.to(dtype, copy=True)
        found.append(seen.said)
    assert found == [True, True, False, False]


def test_names_without_overload_place_and_lists():
    aten = torch.ops.aten
    overloads = (aten.add.Tensor, aten.add_.Tensor, aten._foreach_add_.Scalar, aten.__lshift__.Scalar)
    assert [base_name(each) for each in overloads] == ["add", "add", "add", "__lshift__"]


class Seen:
    """An optimizer of some weights, and the shapes of the results that were handed on."""

    def __init__(self, *modules, chosen=None):
        self.optimizer = torch.optim.SGD([p for module in modules for p in module.parameters()], lr=0.1)
        self.shapes = shapes = []  # without the optimizer, which what is called must not keep alive
        watch_operations(self.optimizer, lambda results: shapes.extend(tuple(r.shape) for r in results), chosen)

    def count(self):
        found = len(self.shapes)
        self.shapes.clear()
        return found


def test_forward_and_backward_of_the_weights_and_nothing_else():
    first, second, other = nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(3, 3)
    seen, x = Seen(first, second), torch.randn(7, 3)
    x * 0.3
    other(x).square().sum().backward()
    with torch.no_grad():
        second(first(x)).exp()
    assert seen.shapes == []
    loss = second(first(x)).square().sum()
    assert seen.shapes == [(7, 4), (7, 5), (7, 5), ()]
    assert loss.detach() * 0.3 > 0
    seen.count()
    loss.backward()
    assert {(7, 4), (4, 3), (5, 4), (1, 4), (1, 5)} <= set(seen.shapes)
    seen.count()
    seen.optimizer.step()
    assert seen.shapes == []


def test_two_networks_that_meet_belong_to_both_optimizers():
    one, other = nn.Linear(3, 3), nn.Linear(3, 3)
    seen = Seen(one), Seen(other)
    loss = other(one(torch.randn(2, 3))).sum()
    assert [each.count() for each in seen] == [3, 2]
    loss.backward()
    # The first layer's backward is no part of the second layer's training.
    assert seen[0].count() > seen[1].count() > 0


def test_weights_added_later_and_weights_trained_from_a_frozen_beginning():
    frozen, last = nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3)
    seen = Seen(nn.Linear(1, 1))
    last(frozen(torch.ones(1, 3)))
    assert seen.count() == 0
    seen.optimizer.add_param_group({"params": list(last.parameters())})
    last(frozen(torch.ones(1, 3)))
    assert seen.count() == 1


def test_chosen_names_alone():
    layer = nn.Linear(3, 4)
    seen = Seen(layer, chosen=frozenset({"mm"}))
    layer(torch.randn(2, 3)).square().sum().backward()
    assert seen.shapes == [(3, 4)] or seen.shapes == [(4, 3)]


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_parts_are_seen_when_they_are_computed_again(reentrant):
    layer = nn.Linear(3, 3)
    seen, x = Seen(layer), torch.randn(2, 3, requires_grad=True)
    loss = checkpoint(lambda x: layer(x).exp(), x, use_reentrant=reentrant).sum()
    seen.count()
    loss.backward()
    assert seen.shapes.count((2, 3)) >= 2


def test_long_chains_are_walked_without_recursion():
    layer = nn.Linear(2, 2)
    y = layer(torch.ones(1, 2))
    for _ in range(5000):
        y = y + 1
    seen = Seen(layer)
    y.exp()
    assert seen.count() == 1
    del y


def modes():
    return [mode for mode in _get_current_dispatch_mode_stack() if isinstance(mode, TrainingOperations)]


def test_the_mode_goes_with_its_optimizer():
    gc.collect()
    assert modes() == []
    seen = [Seen(nn.Linear(2, 2)) for _ in range(3)]
    assert len(modes()) == 3
    del seen[1]
    assert len(modes()) == 2
    assert torch.utils._python_dispatch.is_in_torch_dispatch_mode()
    del seen
    assert modes() == []
    assert not torch.utils._python_dispatch.is_in_torch_dispatch_mode()


def test_modes_of_the_program_are_entered_and_left_as_ever():
    layer = nn.Linear(2, 2)
    with FlopCounterMode(display=False) as before:
        seen = Seen(layer)
        layer(torch.ones(1, 2))
    with FlopCounterMode(display=False) as after:
        layer(torch.ones(1, 2))
    assert before.get_total_flops() == after.get_total_flops() == 8
    assert seen.count() == 2
    assert len(modes()) == len(_get_current_dispatch_mode_stack()) == 1


def test_a_copy_of_model_and_optimizer_has_its_noise():
    model = nn.Linear(40, 40)
    noise = lb.Operations(1, 1.0)
    optimizer = lb.perturb(torch.optim.SGD(model.parameters(), lr=0.1), noise)
    twin_model, twin_optimizer = copy.deepcopy((model, optimizer))
    plain = functional.linear(torch.ones(1, 40), model.weight.detach(), model.bias.detach())
    del optimizer
    assert twin_optimizer.noise == noise
    assert not torch.equal(twin_model(torch.ones(1, 40)), plain)
    assert torch.equal(model(torch.ones(1, 40)), plain)
