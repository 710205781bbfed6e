"""Two ranks under torchrun, recorded in a file each, and run against that, forked, with a fault on one of them."""

import json
import math
import os
import sys

import pytest

from lastbit.script.trace.counts import RankCounts, RecordingCounts, counts_path
from lastbit.script.trace.ranks import read_run

PROGRAM = """
import os, sys, torch, torch.distributed as dist, torch.multiprocessing as mp
def main(rank, *meet):
    dist.init_process_group("gloo", *meet, rank=rank, world_size=2)
    torch.manual_seed(0)
    net = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(9):
        x = torch.full((4, 3), rank + 1.0)
        if step == 1 and rank == 1 and "fault" in sys.argv:
            x.mul_(3.0)
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    dist.destroy_process_group()
if "RANK" in os.environ:
    main(int(os.environ["RANK"]))
else:
    meet = f"file://{os.getcwd()}/meet{os.getpid()}"
    ranks = [mp.get_context("fork").Process(target=main, args=(rank, meet)) for rank in (0, 1)]
    for rank in ranks: rank.start()
    for rank in ranks: rank.join()
"""
LAUNCH = ("torchrun", "--standalone", "--nproc-per-node", "2", "train.py")


def test_two_ranks_are_recorded_and_the_one_that_differs_is_named(lastbit, tmp_path, monkeypatch):
    """Each rank of a launcher imports torch; forked ones do not, and are compared with them all the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "train.py").write_text(PROGRAM)
    code, out, err = lastbit("audit", "--record", "a.trace", "--steps", 2, "--", *LAUNCH)
    assert (code, err) == (0, "")
    assert "over 2 optimizer steps in a.trace and a.trace.rank1: " in out
    run = read_run(tmp_path / "a.trace")
    assert [(trace.header.rank, trace.header.world_size, trace.steps, trace.ended) for trace in run] == [
        (0, 2, 2, True),
        (1, 2, 2, True),
    ]
    for rank, trace in enumerate(run):  # |x| of 12 equal numbers
        norms = [record.outputs[0].norm for record in trace.records if record.site.name == "aten::full"]
        assert norms == pytest.approx([math.sqrt(12) * (rank + 1)] * 2, rel=1e-11)
    # Gradients are averaged, so the ranks' weights have the same bits.
    updates = [[r.outputs[0].digest for r in trace.records if r.site.phase == "optimizer"] for trace in run]
    assert updates[0] == updates[1] != []
    code, out, _ = lastbit("audit", "--fail", "--against", "a.trace", "--json", "-", "--", "train.py", "fault")
    found = json.loads(out)
    line = next(number for number, text in enumerate(PROGRAM.splitlines(), 1) if "x.mul_" in text)
    beyond = found["beyond_rounding"]
    assert (code, found["same_bits"], found["first_different"]["rank"], found["first_different"]["step"]) == (
        1,
        False,
        1,
        1,
    )
    sent = next(number for number, text in enumerate(PROGRAM.splitlines(), 1) if "backward" in text)
    received = f"came in by c10d::allreduce_ at train.py:{sent} from rank 1"
    assert found["ranks"][0]["beyond_rounding"]["differs"] == received
    assert (beyond["rank"], beyond["step"], f"train.py:{line}" in found["verdict"]) == (1, 1, True)


def test_of_the_processes_of_a_rank_the_first_is_recorded_and_ranks_that_do_not_come_are_missed(tmp_path):
    counts = RankCounts(tmp_path)
    assert (counts.missing(None), counts.missing(2), counts.all_ended) == ([0], [0, 1], False)
    assert RecordingCounts.claim(counts_path(tmp_path, 0), world=3)
    assert not RecordingCounts.claim(counts_path(tmp_path, 0), world=3)
    assert (counts.missing(None), counts.operations, counts.error) == ([1, 2], 0, 0)
    for rank in (1, 2):
        assert RecordingCounts.claim(counts_path(tmp_path, rank), world=3)
        RecordingCounts(counts_path(tmp_path, rank)).note(operations=5 * rank, steps=rank)
    assert (counts.missing(3), counts.operations, counts.steps) == ([], 15, 2)
    for rank in range(3):
        assert not counts.all_ended
        RecordingCounts(counts_path(tmp_path, rank)).end()
    assert counts.all_ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rank0", "rank1", "rank2"]
