"""What single operations show, however little becomes of it: in half precision, and where training is chaotic."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.script.trace.recorded import recorded
from tests.script.trace.written_traces import Training, Writer

from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.noisy import NoisyTraceMode
from lastbit.script.trace.places import RoundingEnvelope

HALF = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 8)).to(torch.{dtype})
optimizer = torch.optim.{optimizer}(model.parameters(), lr=1e-3)
for step in range(2):
    x, y = torch.randn(32, 16).to(torch.{dtype}), torch.randint(8, (32,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y){loss}
    loss.backward()
    for p in model.parameters():
        p.grad{gradient}
    optimizer.step()
"""
NORM = """
import torch
from torch import nn
torch.manual_seed(0)
before, norm, head = nn.Conv2d(3, 8, 3), nn.{norm}, nn.Linear(32, 4)
weights = [*before.parameters(), *norm.parameters(), *head.parameters()]
optimizer = torch.optim.AdamW(weights, lr=1e-3)
for step in range(2):
    x, y = torch.randn(16, 3, 4, 4), torch.randint(4, (16,))
    optimizer.zero_grad()
    hidden = before(x)
    hidden = hidden{scaled}
    hidden = norm(hidden).relu().flatten(1)
    nn.functional.cross_entropy(head(hidden), y).backward()
    optimizer.step()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Record a program, perhaps with noise of a seed."""
    monkeypatch.chdir(tmp_path)

    def recorded_with(source, seed=None):
        with monkeypatch.context() as patch:
            if seed is not None:
                patch.setattr("tests.script.trace.recorded.TraceMode", lambda writer: NoisyTraceMode(writer, seed=seed))
            return recorded(source, tmp_path)

    return recorded_with


def envelope_of(run, source):
    plain = run(source)
    return plain, learn_envelope(plain, [run(source, seed) for seed in (1, 2)])


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_gradient_is_judged_though_weights_hardly_move_by_it(run, dtype, optimizer):
    plain_of = {"dtype": dtype, "optimizer": optimizer, "loss": "", "gradient": ".mul_(1)"}
    plain, envelope = envelope_of(run, HALF.format(**plain_of))
    # The eps of AdamW is 0 in float16, and makes weights infinite: they are not called the same.
    rounds = None if (dtype, optimizer) == ("float16", "AdamW") else True
    for change in ({"gradient": ".mul_(1).mul_(1.5)"}, {"gradient": ".mul_(1).mul_(1.05)"}, {"loss": " * 1.5"}):
        found = compare_traces(plain, run(HALF.format(**plain_of | change)), envelope)
        assert found.is_rounding is False, change
        assert "only the second trace has aten::mul" in found.beyond_rounding.differs
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 + threads % 2)
        assert compare_traces(plain, run(HALF.format(**plain_of)), envelope).is_rounding is rounds
    finally:
        torch.set_num_threads(threads)
    scaled = plain_of | {"loss": " * 3", "gradient": ".mul_(1).div_(3)"}
    assert compare_traces(plain, run(HALF.format(**scaled)), envelope).is_rounding is rounds


@pytest.mark.parametrize("norm", ["BatchNorm2d(8)", "BatchNorm2d(8, track_running_stats=False)", "GroupNorm(2, 8)"])
def test_a_division_before_a_normalisation_is_found_and_one_that_is_undone_is_not(run, norm):
    """The normalisation gives the same of all scales, but for its eps."""
    plain, envelope = envelope_of(run, NORM.format(norm=norm, scaled=""))
    found = compare_traces(plain, run(NORM.format(norm=norm, scaled=" / 1.01")), envelope)
    assert "only the second trace has aten::div at train.py:12, 1.01 times" in found.beyond_rounding.differs
    assert found.first_different.index <= found.beyond_rounding.index
    for same in (" / 3 * 3", ".double().float()"):
        assert compare_traces(plain, run(NORM.format(norm=norm, scaled=same)), envelope).is_rounding


def chaotic(*, noise=0.0, kernel=1.0, data=0.0, mask=1.0, flipped=False):
    """A weight of which nothing can be told, and operations beside it that take the same bits in all runs."""
    writer, values = Writer(), np.arange(1.0, 9.0)
    for step in range(2):
        late = step if step else 0
        rows = values[::-1] if flipped and late else values
        writer.outside(f"x{step}", rows + data * late)
        writer.do("tanh", [f"x{step}"], {f"t{step}": np.tanh(values) * (kernel if late else 1)}, line="train.py:3")
        writer.do("bernoulli_", [], {f"m{step}": np.roll(values > 4, int(late and mask != 1)) * 2.0}, line="train.py:4")
        takes = [f"t{step}", f"m{step}"]
        writer.do("lstm_cell", takes, {f"w{step}": values[::-1] + noise * 5}, phase="optimizer", module="w")
        writer.step()
    return writer.trace()


CHAOS = RoundingEnvelope(
    {(r.index, 0): math.inf if r.site.phase == "optimizer" else 0.0 for r in chaotic().records}, saturated_at=1
)


@pytest.mark.parametrize(
    ("change", "operation"),
    [
        ({"kernel": 1 + 1e-6}, "aten::tanh"),
        ({"data": 1e-3}, "aten::tanh"),
        ({"mask": 0.0}, "aten::bernoulli_"),
        ({"flipped": True}, None),
        ({}, None),
    ],
    ids=str,
)
def test_behind_saturation_what_takes_equal_bits_is_judged(change, operation):
    """Of numbers in double precision 1e-6 is far beyond rounding; samples in another order are the same data."""
    found = compare_traces(chaotic(), chaotic(noise=1.0, **change), CHAOS)
    assert (found.beyond_rounding and found.beyond_rounding.operation) == operation
    if operation is None:
        assert found.is_rounding is None
        assert "from there on rounding explains any distance" in found.verdict
    assert found.as_json()["ranks"][0]["rounding_explains_all_from"] == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_behind_saturation_other_samples_are_told_in_any_precision(dtype):
    """Norms of 20,000 normal numbers are half a per cent apart, less than two units in the last place of bfloat16."""

    def late(seed, noise):
        writer = Writer()
        for step in range(2):
            x = np.random.default_rng(seed * step).normal(size=20_000).astype(np.float32)
            writer.outside(f"x{step}", x)
            data = writer.records[-1]
            writer.records[-1] = replace(data, outputs=(replace(data.outputs[0], dtype=dtype),))
            writer.do("tanh", [f"x{step}"], {f"t{step}": np.tanh(x)})
            weights = np.arange(8.0)[::-1] + 1 + noise * 5
            writer.do("lstm_cell", [f"t{step}"], {f"w{step}": weights}, phase="optimizer", module="w")
            writer.step()
        return writer.trace()

    plain = late(1, 0.0)
    limits = {(r.index, 0): math.inf if r.site.phase != "outside" else 0.0 for r in plain.records}
    found = compare_traces(plain, late(2, 1.0), RoundingEnvelope(limits, saturated_at=1))
    assert found.beyond_rounding.differs == "the data differ"
    assert compare_traces(plain, late(1, 1.0), RoundingEnvelope(limits, saturated_at=1)).beyond_rounding is None


def test_weights_that_do_not_move_judge_no_gradient():
    """Gradients that noise parts by half, and weights that stay where they are but for rounding."""

    def trained(noise, lr):
        writer, random = Writer(), np.random.default_rng(noise)
        weight, gradient = np.arange(1.0, 9.0), np.ones(8) + 0.5 * bool(noise) * random.normal(size=8)
        writer.outside("w", weight, "model.w")
        writer.do("tanh_backward", ["w"], {"g": gradient}, phase="backward")
        fresh = weight * (1 + 1e-3 * bool(noise) * random.normal(size=8)) - lr
        writer.do("add_", ["w", "g"], {"w'": fresh}, phase="optimizer", module="model.w")
        writer.step()
        return writer.trace()

    for lr, saturated in ((1e-3, 0), (1.0, None)):
        assert learn_envelope(trained(0, lr), [trained(1, lr), trained(2, lr)]).saturated_at == saturated


def test_what_was_not_recorded_limits_the_verdict():
    one = Training().writer.trace()
    other = replace(one, unseen={"torch.compile, which ran without": 3})
    found = compare_traces(one, other)
    assert found.verdict.endswith(
        "; not recorded in the second run, and not compared: torch.compile, which ran without (3)"
    )
    (rank,) = found.as_json()["ranks"]
    assert rank["unseen"] == [{}, {"torch.compile, which ran without": 3}]
    assert (rank["without_partner"], rank["without_values"]) == ([0, 0], 0)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_the_first_other_bits_never_stand_behind_what_is_beyond_rounding(noise):
    plain = Training().writer.trace()
    for change in (
        {"clip": True},
        {"lr": 0.2},
        {"frozen": True},
        {"weights": 0.1},
        {"data": 0.1},
        {"parts": 2, "divided": 1},
    ):
        found = compare_traces(plain, Training(noise=noise, **change).writer.trace(), lambda *_: 1e-5)
        assert found.beyond_rounding is not None
        assert found.first_different.index <= found.beyond_rounding.index


def test_results_below_the_smallest_normal_number_round_too(run):
    source = "import torch\nx = torch.full((1000,), 3e-4).half()\ny = x * x * 40\n"
    plain, noisy = run(source), run(source, 1)
    assert plain.records[-1].outputs[0].digest != noisy.records[-1].outputs[0].digest
    assert learn_envelope(plain, [noisy])(plain.records[-1], 0) > 2.0**-9
