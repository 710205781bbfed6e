from collections import Counter, OrderedDict, UserDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastbit.errors import LastbitError
from lastbit.noise import Noise, Order, Rounding, Ulp, Unperturbed, noise_from_json, order_batches

Pair = namedtuple("Pair", ["inputs", "targets"])


@given(samples=st.integers(1, 60), seed=st.integers(0, 2**63 - 1), step=st.integers(0, 10**6))
def test_it_is_a_permutation_of_whole_samples_decided_by_seed_and_step(samples, seed, step):
    inputs, targets = torch.rand(samples, 3), torch.arange(samples)
    found_inputs, found_targets = Order(seed).arrange((inputs, targets), step)
    assert sorted(found_targets.tolist()) == list(range(samples))
    assert torch.equal(found_inputs, inputs[found_targets])
    assert torch.equal(Order(seed).arrange(targets, step), found_targets)


def test_seeds_steps_and_epochs_differ():
    def order(seed, step):
        return tuple(Order(seed).arrange(torch.arange(30), step).tolist())

    assert len({order(seed, step) for seed in range(5) for step in range(5)}) == 25
    batches = [torch.arange(30)] * 2
    whole = [tuple(batch.tolist()) for batch in order_batches(batches * 2, Order(1))]
    assert whole == [order(1, step) for step in range(4)]
    later = [tuple(batch.tolist()) for batch in order_batches(batches, Order(1), start=2)]
    assert later == whole[2:]


def test_every_place_is_equally_likely():
    counts = Counter(int(Order(seed).arrange(torch.arange(5), 0)[0]) for seed in range(1000))
    assert all(130 < counts[place] < 270 for place in range(5))


@pytest.mark.parametrize("noise", [Order(None), Ulp(1), Rounding(0.5, 1), Unperturbed()])
def test_any_other_noise_leaves_batches_as_they_are(noise):
    batch = (torch.arange(5), "anything")
    assert noise.arrange(batch, 3) is batch
    assert next(order_batches([batch], noise)) is batch


def test_an_optimizer_is_left_as_it_is():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])
    for noise in (Order(1), Unperturbed()):
        noise.attach(optimizer)
        assert type(optimizer) is torch.optim.SGD


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    Order(1).arrange(torch.arange(9), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_any_nesting_keeps_its_make_and_its_samples_together():
    numbers = torch.arange(4)
    batch = {
        "pair": Pair(numbers.float().reshape(4, 1), numbers),
        "more": [numbers * 2, (numbers.numpy() * 3, OrderedDict(deep=numbers * 4))],
        "names": ["0", "1", "2", "3"],
        "rates": (0.0, 0.1, 0.2, 0.3),
        "user": UserDict(ids=numbers * 5),
        "epoch": 7,
        "weight": torch.tensor(0.5),
        "title": "four",
        "nothing": None,
        "classes": ["cat", "dog"],
    }
    found = Order(1).arrange(batch, 0)
    order = found["pair"].targets
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert order.tolist() != [0, 1, 2, 3]
    assert isinstance(found["pair"], Pair)
    assert torch.equal(found["pair"].inputs, order.float().reshape(4, 1))
    assert torch.equal(found["more"][0], order * 2)
    assert isinstance(found["more"][1], tuple)
    assert np.array_equal(found["more"][1][0], order.numpy() * 3)
    assert isinstance(found["more"][1][1], OrderedDict)
    assert torch.equal(found["more"][1][1]["deep"], order * 4)
    assert found["names"] == [str(i) for i in order.tolist()]
    assert found["rates"] == tuple(i / 10 for i in order.tolist())
    assert isinstance(found["user"], UserDict)
    assert torch.equal(found["user"]["ids"], order * 5)
    assert torch.equal(batch["user"]["ids"], numbers * 5)
    for key in ("epoch", "weight", "title", "nothing", "classes"):
        assert found[key] is batch[key] or found[key] == batch[key]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_stays(layout):
    images = torch.rand(6, 3, 4, 5).contiguous(memory_format=layout)
    found, order = Order(1).arrange((images, torch.arange(6)), 0)
    assert found.stride() == images.stride()
    assert torch.equal(found, images[order])
    turned = torch.rand(5, 6).t()
    assert Order(1).arrange(turned, 0).stride() == turned.stride()


def test_gradients_flow_through():
    inputs = torch.arange(4.0, requires_grad=True)
    found = Order(1).arrange(inputs, 0)
    (found * torch.arange(4.0)).sum().backward()
    assert torch.equal(inputs.grad[found.detach().long()], torch.arange(4.0))


@pytest.mark.parametrize(
    ("batch", "complaint"),
    [
        ((torch.ones(3, 2), torch.ones(4)), r"a tuple, and its tensors have the shapes \(3, 2\), \(4,\)"),
        ([1, "two"], "a list, and it holds no tensor"),
        (torch.tensor(3.0), "a Tensor, and it holds no tensor"),
        (7, "a int, and it holds no tensor"),
    ],
)
def test_batches_that_cannot_be_permuted(batch, complaint):
    with pytest.raises(ValueError, match=complaint):
        Order(1).arrange(batch, 0)


def test_is_a_noise_with_a_label_controls_and_json():
    noise = Order(2)
    assert isinstance(noise, Noise)
    assert (noise.label, Order(None).label) == ("order #2", "given order")
    assert (noise.is_exact, Order(None).is_exact) == (False, True)
    assert noise.source == "summation order"
    assert noise.baseline() == Order(None)
    assert noise.controls() == {"repeat": (noise, noise), "null": (Order(None), Unperturbed())}
    for each in (noise, Order(None), Unperturbed()):
        assert noise_from_json(each.as_json()) == each
    with pytest.raises(ValueError, match="the seed of a noise is a whole number"):
        Order(-1)


def test_no_noise_at_all():
    noise = Unperturbed()
    assert isinstance(noise, Noise)
    assert (noise.label, noise.source, noise.is_exact) == ("unperturbed", "nothing", True)
    assert noise.baseline() is noise
    assert noise.controls() == {"repeat": (noise, noise)}


@dataclass(frozen=True)
class Rows:
    """A batch as an object of a class."""

    inputs: torch.Tensor
    names: list[str]
    extra: dict[str, torch.Tensor]
    rate: float = 0.5


def test_the_fields_of_a_dataclass_are_parts_of_a_batch():
    numbers = torch.arange(4)
    found = Order(1).arrange(Rows(numbers.reshape(4, 1), ["0", "1", "2", "3"], {"x": numbers}), 0)
    order = Order(1).arrange(numbers, 0)
    assert type(found) is Rows
    assert torch.equal(found.inputs[:, 0], order)
    assert torch.equal(found.extra["x"], order)
    assert found.names == [str(each) for each in order.tolist()]
    assert found.rate == 0.5


def test_an_object_whose_samples_cannot_be_told_is_refused_with_what_can():
    class Graph:
        x = torch.ones(4)

    with pytest.raises(
        ValueError, match=r"Graph, whose samples are not recognised: batches may be .* dataclasses of them"
    ):
        Order(1).arrange(Graph(), 0)
    with pytest.raises(ValueError, match="this is a list, and it holds no tensor"):
        Order(1).arrange(["a", "b"], 0)


def test_samples_without_rows_are_refused():
    """Of four sequences of one step each, packed into four rows, the rows are as many as the targets."""
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(1, 2)] * 4)
    with pytest.raises(LastbitError, match="the samples of a PackedSequence cannot be permuted"):
        Order(1).arrange((packed, torch.arange(4)), 0)


def test_a_range_is_a_column_too():
    numbers, targets = Order(1).arrange((range(9), torch.arange(9)), 0)
    assert numbers == targets.tolist()
