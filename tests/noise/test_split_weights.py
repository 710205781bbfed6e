"""Noise on weights that are split over processes, each process being played in turn by torch's fake process group."""

from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.debug import _clear_sharding_prop_cache
from torch.testing._internal.distributed.fake_pg import FakeStore

from lastbit.noise import Rounding, Ulp, perturb

WORLD = 2
VALUES = torch.linspace(1, 2, 40)


@contextmanager
def rank(number, world=WORLD):
    _clear_sharding_prop_cache()  # which remembers meshes as the process before saw them
    dist.init_process_group("fake", rank=number, world_size=world, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


def moved(noise, number, *placements, mesh=(WORLD,)):
    """Where weights move on one process: those that are split, and those that are not; all begin alike.

    The gradient is far too large for a unit to be lost, and the update leaves whole numbers and halves.
    """
    with rank(number, torch.Size(mesh).numel()):
        split = DTensor.from_local(VALUES.clone(), init_device_mesh("cpu", mesh), placements)
        weights = [torch.nn.Parameter(split), torch.nn.Parameter(VALUES.clone())]
        optimizer = perturb(torch.optim.SGD(weights, lr=1.0), noise)
        for weight in weights:
            weight.grad = torch.full_like(weight, -4.0)
        optimizer.step()
        return [(part.detach() - (VALUES + 4.0)).tolist() for part in (weights[0].to_local(), weights[1])]


def test_each_shard_has_draws_of_its_own_and_a_replica_the_same():
    (first, whole), (second, other) = (moved(Rounding(0.5, 1), number, Shard(0)) for number in range(WORLD))
    assert whole == other
    assert first != second
    assert 5 < sum(number != 0 for number in second) < 35


@pytest.mark.parametrize(
    ("placements", "alike"),
    [((Replicate(), Shard(0)), [(0, 2), (1, 3)]), ((Shard(0), Replicate()), [(0, 1), (2, 3)])],
)
def test_processes_with_the_same_shard_move_it_alike(placements, alike):
    found = [moved(Rounding(0.5, 1), number, *placements, mesh=(2, 2))[0] for number in range(4)]
    assert [(one, other) for one in range(4) for other in range(one + 1, 4) if found[one] == found[other]] == alike


def test_one_weight_of_all_shards_moves_by_an_ulp_and_either_shard_may_have_it():
    holders = []
    for seed in range(12):
        (first, whole), (second, other) = (moved(Ulp(seed), number, Shard(0)) for number in range(WORLD))
        assert sum(number != 0 for number in (*first, *second)) == 1
        assert not any((*whole, *other))
        holders.append(any(second))
    assert set(holders) == {True, False}
