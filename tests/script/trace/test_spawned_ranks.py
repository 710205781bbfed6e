"""Ranks that a script starts itself are recorded as those of a launcher are: forked ones, and started ones."""

import os
import sys

import pytest

from lastbit.script.target import Target
from lastbit.script.trace import recording
from lastbit.script.trace.counts import RankCounts, RecordingCounts
from lastbit.script.trace.ranks import clear_further, process_path, read_run
from lastbit.script.trace.recording import record_trace

TRAINING = """
import os, subprocess, sys, torch, torch.distributed as dist, torch.multiprocessing as mp
def main(rank, meet):
    dist.init_process_group("gloo", f"file://{meet}", rank=rank, world_size=2)
    torch.manual_seed(0)
    net = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.arange(24.0).view(8, 3), 4, num_workers=WORKERS)
    for x in loader:
        optimizer.zero_grad(); net(x * (rank + 1)).square().mean().backward(); optimizer.step()
    dist.destroy_process_group()
"""
FORKED = """
torch.ones(3).sum()  # by the first process, which is no rank
for group in range(GROUPS):
    meet, fork = f"{os.getcwd()}/meet{group}", mp.get_context("fork")
    ranks = [fork.Process(target=main, args=(rank, meet)) for rank in range(2)]
    for rank in ranks: rank.start()
    for rank in ranks: rank.join()
    assert [rank.exitcode for rank in ranks] == [0, 0]
"""
# As Lightning does: the first process is rank 0.
STARTED = """
if len(sys.argv) == 1:
    other = subprocess.Popen([sys.executable, __file__, "1"])
main(len(sys.argv) - 1, f"{os.getcwd()}/meet")
sys.exit(other.wait() if len(sys.argv) == 1 else 0)
"""


@pytest.fixture
def record(tmp_path, monkeypatch, warm_python):
    """Record a script, in a process that has imported torch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(recording, "subprocess", warm_python.subprocess)

    def run(source, **options):
        (tmp_path / "train.py").write_text(source)
        found = record_trace(Target("file", "train.py"), tmp_path / "a.trace", **options)
        assert {path.name for path in tmp_path.glob("a.trace*")} == {path.name for path in names(found.ranks)}
        return found

    def names(ranks):
        return [tmp_path / f"a.trace{f'.rank{rank}' if rank else ''}" for rank in range(ranks)]

    return run


def script(ranks, *, workers=0, groups=1):
    return (TRAINING + ranks).replace("WORKERS", str(workers)).replace("GROUPS", str(groups))


def check(found, tmp_path):
    """Two ranks, whose gradients are averaged: all weights have the same bits, and data do not."""
    run = read_run(tmp_path / "a.trace")
    assert [(trace.header.rank, trace.header.world_size, trace.ended) for trace in run] == [(0, 2, True), (1, 2, True)]
    assert found.operations == sum(len(trace.records) for trace in run)
    updates, data = (
        [[r.outputs[0].digest for r in trace.records if (r.site.phase, r.site.name)[place] == name] for trace in run]
        for place, name in ((0, "optimizer"), (1, "aten::mul"))
    )
    assert updates[0] == updates[1] != []
    assert data[0] != data[1]
    return run


def test_forked_ranks_are_recorded_and_what_starts_them_is_not(record, tmp_path):
    source = script(FORKED, workers=1)
    found = record(source)
    line = next(number for number, text in enumerate(source.splitlines(), 1) if text.startswith("torch.ones"))
    assert (found.ranks, found.steps, found.left_out) == (2, 2, 0)
    for trace in check(found, tmp_path):
        lines = {record.site.line for record in trace.records}
        assert f"train.py:{line}" not in lines, "of the first process"
        assert "train.py:6" in lines, "from the beginning"


def test_a_first_process_that_becomes_rank_0_keeps_its_file(record, tmp_path):
    """A real process is rank 1; both wait for each other after the last step wanted."""
    found = record(script(STARTED), steps=1)
    assert (found.ranks, found.steps) == (2, 1)
    check(found, tmp_path)


def test_of_two_groups_one_after_the_other_the_first_is_kept_and_the_second_is_said(record, tmp_path):
    found = record(script(FORKED, groups=2))
    assert (found.ranks, found.steps, found.left_out) == (2, 2, 2)
    check(found, tmp_path)


def test_a_process_that_trains_and_is_no_rank_is_said(tmp_path):
    path = tmp_path / "a.trace"
    for process, steps in ((5, 3), (6, 0), (7, 3)):
        process_path(path, process).touch()
        counts = RecordingCounts.create(tmp_path / f"further{process}")
        counts.note(operations=9, steps=steps)
    assert RecordingCounts(tmp_path / "further7").place(tmp_path, 0, 2)
    assert not RecordingCounts(tmp_path / "further5").place(tmp_path, 0, 2)
    assert RankCounts(tmp_path).missing(None) == [1]
    assert clear_further(path, tmp_path) == 1
    assert not list(tmp_path.glob("a.trace.*"))


WRAPPED = """
import torch
class Wrapper(torch.optim.Optimizer):  # as ZeroRedundancyOptimizer is one
    def __init__(self, parameters):
        super().__init__(parameters, {})
        self.inner = torch.optim.SGD(self.param_groups[0]["params"], lr=0.1)
    def step(self):
        self.inner.step()
weight = torch.nn.Parameter(torch.ones(3))
optimizer = Wrapper([weight])
for _ in range(3):
    weight.square().sum().backward()
    optimizer.step()
"""


def test_an_optimizer_inside_another_takes_no_step_of_its_own(record, tmp_path):
    assert record(WRAPPED).steps == 3
    (trace,) = read_run(tmp_path / "a.trace")
    assert {record.step for record in trace.records if record.site.phase == "optimizer"} == {0, 1, 2}
