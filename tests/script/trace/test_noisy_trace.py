"""Noise in the results of all operations of a recorded program."""

from functools import cache

import pytest
import torch

from lastbit.script.audit.generators import generators
from lastbit.script.trace.noisy import ULPS, NoisyTraceMode
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.records import FORMAT, TraceHeader
from lastbit.script.trace.writer import TraceWriter


@pytest.fixture
def noisy(tmp_path):
    """A mode of a seed, and what ends its trace and reads it."""
    ends = []

    def made(seed):
        path = tmp_path / f"{len(ends)}.trace"
        writer = TraceWriter(path, TraceHeader(FORMAT, ("x.py",), {}, {}, {}, 0, 1, None, ""))
        writer.state(0, generators())
        ends.append(cache(lambda: (writer.end({}), read_trace(path))[1]))
        return NoisyTraceMode(writer, seed=seed), ends[-1]

    yield made
    for end in ends:
        end()


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, ULPS), (torch.float64, ULPS), (torch.bfloat16, 1)])
def test_results_move_by_some_units_and_no_more(noisy, dtype, most):
    x = torch.rand(1000, dtype=dtype) + 1.1  # the sum of two lies between 2 and 4.2
    plain = (x + x.flip(0)).clamp(max=3.9)
    with noisy(1)[0]:
        moved = (x + x.flip(0)).clamp(max=3.9)
    unit = torch.finfo(dtype).eps * 2
    units = ((moved.double() - plain.double()) / unit).round().abs()
    assert torch.equal(units * unit, (moved.double() - plain.double()).abs())
    assert units.max() == most
    assert (units == 0).double().mean() < 0.3


def test_whole_numbers_zeros_and_what_is_not_finite_stay(noisy):
    x = torch.tensor([1.0, 2.0, 0.0, -7.0, torch.inf, torch.nan, 2.0**19])
    with noisy(1)[0]:
        assert torch.equal((x + 0.0).nan_to_num(nan=5.0), x.nan_to_num(nan=5.0))
        assert int((torch.arange(300.0) / 300 * 300).round().sum()) == 300 * 299 // 2
        assert not torch.equal(x[:4] + 0.3, torch.tensor([1.3, 2.3, 0.3, -6.7]))


def test_updates_and_operations_without_gradients_round_too_and_a_seed_repeats(noisy):
    def trained(mode=None):
        torch.manual_seed(0)
        layer = torch.nn.Linear(30, 30)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        layer(torch.ones(1, 30)).sum().backward()
        if mode is None:
            optimizer.step()
        else:
            with mode:
                optimizer.step()
        return layer.weight.detach()

    plain, (mode, read) = trained(), noisy(1)
    once = trained(mode)
    assert not torch.equal(plain, once)
    assert torch.allclose(plain, once, rtol=2 * ULPS * 2.0**-23, atol=0)
    assert not torch.equal(once, trained(noisy(2)[0]))
    recorded = [record for record in read().records if record.site.phase == "optimizer"]
    assert recorded[0].outputs[0].norm == pytest.approx(float(once.double().norm()), rel=1e-12)


def test_the_same_seed_gives_the_same_trace(noisy):
    digests = []
    for seed in (1, 2, 1):
        mode, read = noisy(seed)
        with mode:
            torch.ones(5).mul(0.3).exp()
        digests.append([summary.digest for record in read().records for summary in record.outputs])
    assert digests[0] == digests[2] != digests[1]
