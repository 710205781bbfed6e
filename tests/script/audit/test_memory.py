import gc

import torch

from lastbit.script.audit import memory as module
from lastbit.script.audit.memory import Memory


def test_a_view_is_known_with_its_memory_and_a_copy_is_not():
    memory, tensor = Memory(), torch.ones(4, 3)
    assert not memory.knows(tensor)
    memory.learn(tensor)
    assert memory.knows(tensor[1:])
    assert not memory.knows(tensor.clone())
    memory.forget(tensor)
    assert not memory.knows(tensor)


def test_looking_at_a_part_does_not_make_the_whole_known():
    memory, tensor = Memory(), torch.ones(4, 3)
    memory.meet(tensor[1:])
    assert not memory.knows(tensor)
    memory.meet(tensor.t())
    assert memory.knows(tensor)


def test_memory_is_unwritten_until_its_parts_add_up():
    memory, tensor = Memory(), torch.empty(4, 3)
    memory.leave_unwritten(tensor)
    memory.write(tensor[0])
    memory.write(tensor[0])
    assert memory.is_unwritten(tensor)
    memory.write(tensor[1:])
    assert not memory.is_unwritten(tensor)


def test_what_is_gone_is_forgotten_and_a_new_tensor_in_its_place_is_a_stranger(monkeypatch):
    monkeypatch.setattr(module, "_FEWEST", 100)
    memory = Memory()
    kept = torch.ones(3)
    memory.learn(kept)
    for _ in range(1000):
        new = torch.ones(5)
        assert not memory.knows(new)
        memory.learn(new)
    del new
    gc.collect()
    assert len(memory._known) <= 101
    assert memory.knows(kept)
