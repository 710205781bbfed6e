"""A killed trial goes on from its checkpoint to the bytes of an undisturbed one."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import lastbit as lb
from lastbit.storage.checkpoint import read_checkpoint, write_checkpoint
from lastbit.storage.files import DamagedError
from lastbit.study import Recorder, Trial

TRIAL = Trial({"name": "toy"}, 1, lb.Scale(3))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]))
NESTS = st.recursive(
    PLAIN | st.lists(st.integers(-5, 5), max_size=3).map(torch.tensor),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=6,
)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype and one.stride() == other.stride()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (math.isnan(one) and math.isnan(other)))


@given(NESTS)
def test_any_nest_comes_back_as_it_was(tmp_path_factory, nest):
    place = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(place, 7, nest, extra={})
    found, _ = read_checkpoint(place)
    assert found.step == 7
    assert same(nest, found.state)


def test_strides_bits_and_dtypes_are_kept(tmp_path):
    odd = torch.tensor([float("nan"), -0.0, float("inf"), 1e-45])
    strided = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path, 1, [odd, strided, odd.bfloat16(), torch.tensor(3)], extra={})
    back = read_checkpoint(tmp_path)[0].state
    assert torch.equal(back[0].view(torch.int32), odd.view(torch.int32))
    assert back[1].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(back[1], strided)
    assert (back[2].dtype, back[3].shape) == (torch.bfloat16, ())


def test_what_is_no_plain_value_is_refused(tmp_path):
    with pytest.raises(TypeError, match="a checkpoint holds tensors and plain values, not Linear"):
        write_checkpoint(tmp_path, 1, {"model": nn.Linear(1, 1)}, extra={})


def test_an_optimizer_of_the_noise_goes_on_with_the_same_bits(tmp_path):
    def steps(weight, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            optimizer.step()

    for noise in (lb.Scale(3), lb.Rounding(0.5, 1), lb.Ulp(2)):
        for kind in (torch.optim.SGD, torch.optim.AdamW):
            weight, other = (torch.linspace(1, 2, 50).requires_grad_() for _ in range(2))
            optimizer = lb.perturb(kind([weight], lr=0.01), noise)
            steps(weight, optimizer, 3)
            write_checkpoint(tmp_path, 3, {"w": weight, "o": optimizer.state_dict()}, extra={})
            state = read_checkpoint(tmp_path)[0].state
            resumed = lb.perturb(kind([other], lr=0.01), noise)
            with torch.no_grad():
                other.copy_(state["w"])
            resumed.load_state_dict(state["o"])
            steps(weight, optimizer, 4)
            steps(other, resumed, 4)
            assert torch.equal(weight, other), (noise, kind)


def test_what_came_after_the_checkpoint_is_dropped(tmp_path):
    before = Recorder(TRIAL, tmp_path)
    before.log(1, loss=1.0)
    before.snapshot(1, {"w": torch.ones(1)})
    before.save_checkpoint(2, [1])
    before.log(3, loss=3.0)
    before.snapshot(3, {"w": torch.ones(1)})
    after = Recorder(TRIAL, tmp_path)
    assert after.load_checkpoint().step == 2
    after.log(3, loss=4.0)
    assert [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1.0, 4.0]
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["000000001.safetensors"]


def test_a_training_that_does_not_ask_for_its_checkpoint_starts_from_nothing(tmp_path):
    before = Recorder(TRIAL, tmp_path)
    before.log(1, loss=1.0)
    before.save_checkpoint(1, [])
    Recorder(TRIAL, tmp_path).log(1, loss=2.0)
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("damaged", ["weights/000000001.safetensors", "metrics.jsonl"])
def test_results_damaged_since_the_checkpoint_are_not_gone_on_with(tmp_path, damaged):
    before = Recorder(TRIAL, tmp_path)
    before.log(1, loss=1.0)
    before.snapshot(1, {"w": torch.ones(1)})
    before.save_checkpoint(2, [1])
    content = bytearray((tmp_path / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / damaged).write_bytes(content)
    after = Recorder(TRIAL, tmp_path)
    assert after.load_checkpoint() is None
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


@pytest.mark.parametrize("name", ["state.json", "000000002.safetensors"])
def test_a_damaged_checkpoint_is_never_used(tmp_path, name):
    write_checkpoint(tmp_path, 2, {"w": torch.ones(9)}, extra={})
    content = bytearray((tmp_path / name).read_bytes())
    content[-20] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedError, match=name):
        read_checkpoint(tmp_path)


def test_a_second_checkpoint_takes_the_place_of_the_first(tmp_path):
    write_checkpoint(tmp_path, 1, torch.zeros(2), extra={})
    write_checkpoint(tmp_path, 2, torch.ones(2), extra={})
    assert read_checkpoint(tmp_path)[0].state.tolist() == [1, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000002.safetensors", "state.json"]
