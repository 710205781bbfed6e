"""Two runs of two ranks each: rank is paired with rank. The second is started by the first, or both are forked."""

PROGRAM = """
import os, subprocess, sys
import torch, torch.distributed as dist
if "RANK" not in os.environ:
    os.environ.update(RANK="0", WORLD_SIZE="2", MEET=f"meet{os.getpid()}")
    other = subprocess.Popen([sys.executable, __file__], env={**os.environ, "RANK": "1"})
rank = int(os.environ["RANK"])
dist.init_process_group("gloo", f"file://{os.getcwd()}/{os.environ['MEET']}", rank=rank, world_size=2)
torch.manual_seed(0)
net = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
shared = torch.ones(2)
for step in range(3):
    loss = net(torch.ones(4, 3) * (rank + 1)).square().mean()
    if step == 1 and rank == 1:
        FAULT
    dist.all_reduce(shared)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
dist.destroy_process_group()
if rank == 0:
    sys.exit(other.wait())
"""


def test_ranks_that_agree_are_compared_with_their_collectives(audited):
    found = audited(PROGRAM.replace("FAULT", "pass"), steps=2)
    assert (found.first_difference, found.steps) == (None, 2)
    assert not any("c10d" in name for name in (*found.unobserved, *found.unseen))
    assert found.operations > 2 * 40


def test_what_a_rank_gives_to_a_collective_is_named_with_rank_and_line(audited):
    found = audited(PROGRAM.replace("FAULT", "shared.numpy()[0] = os.getpid()")).first_difference
    assert (found.rank, found.world, found.step, found.op) == (1, 2, 1, "c10d::allreduce_")
    line = next(number for number, text in enumerate(PROGRAM.splitlines(), 1) if "all_reduce(shared)" in text)
    assert (found.line, found.kind, found.elements) == (f"train.py:{line}", "data", 1)


FORKED = """
import os, torch, torch.distributed as dist, torch.multiprocessing as mp
def main(rank, meet):
    dist.init_process_group("gloo", f"file://{meet}", rank=rank, world_size=2)
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        (net(torch.ones(4, 3)) * (1 + rank * step * FAULT)).square().mean().backward()
        for parameter in net.parameters():
            dist.all_reduce(parameter.grad)
        optimizer.step()
    dist.destroy_process_group()
torch.manual_seed(0)
meet, fork = f"{os.getcwd()}/meet{os.getpid()}", mp.get_context("fork")
ranks = [fork.Process(target=main, args=(rank, meet)) for rank in (0, 1)]
for rank in ranks: rank.start()
for rank in ranks: rank.join()
"""


def test_forked_ranks_are_compared(audited):
    found = audited(FORKED.replace("FAULT", "0"))
    assert (found.first_difference, found.steps, found.unobserved) == (None, 3, {})
    assert found.operations > 2 * 3 * 10


def test_a_forked_rank_that_differs_is_named(audited):
    found = audited(FORKED.replace("FAULT", "os.getpid()")).first_difference
    assert (found.rank, found.world, found.step, found.op) == (1, 2, 1, "aten::mul")
    line = next(number for number, text in enumerate(FORKED.splitlines(), 1) if "FAULT" in text)
    assert (found.line, found.kind) == (f"train.py:{line}", "data")
