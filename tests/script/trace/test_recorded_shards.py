"""Weights that FSDP2 splits over processes, of one process here: the names of its updates."""

import pytest
import torch
from tests.script.trace.recorded import recorded

PROGRAM = """
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
try:
    net = fully_shard(torch.nn.Linear(4, 3), mesh=init_device_mesh("cpu", (1,)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.ones(2, 4)).sum().backward()
    optimizer.step()
finally:
    dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_updates_have_their_parameters_names(tmp_path):
    trace = recorded(PROGRAM, tmp_path, whole=False)  # those on a DTensor are seen by what they do inside
    updates = [record for record in trace.records if record.site.phase == "optimizer"]
    names = {record.site.module for record in updates} - {None}
    assert names == {"FSDPLinear.weight", "FSDPLinear.bias"}
