import gc

import numpy as np
import pytest
import torch

from lastbit.script.audit import memory as module
from lastbit.script.audit.memory import WrittenMemory


def test_a_view_is_known_with_its_memory_and_a_copy_is_not():
    memory, tensor = WrittenMemory(), torch.ones(4, 3)
    assert not memory.knows(tensor)
    memory.learn(tensor)
    assert memory.knows(tensor[1:])
    assert not memory.knows(tensor.clone())
    memory.forget(tensor)
    assert not memory.knows(tensor)


def test_looking_at_a_part_does_not_make_the_whole_known():
    memory, tensor = WrittenMemory(), torch.ones(4, 3)
    memory.meet(tensor[1:])
    assert not memory.knows(tensor)
    memory.meet(tensor.t())
    assert memory.knows(tensor)


def test_memory_is_unwritten_until_its_parts_add_up():
    memory, tensor = WrittenMemory(), torch.empty(4, 3)
    memory.leave_unwritten(tensor)
    memory.write(tensor[0])
    memory.write(tensor[0])
    assert memory.is_unwritten(tensor)
    memory.write(tensor[1:])
    assert not memory.is_unwritten(tensor)


def test_what_is_written_twice_counts_once():
    memory, tensor = WrittenMemory(), torch.empty(100)
    memory.leave_unwritten(tensor)
    memory.write(tensor[:60])
    memory.write(tensor[:50])
    memory.write(tensor[40:90])
    assert memory.is_unwritten(tensor)
    memory.write(tensor[90:])
    assert not memory.is_unwritten(tensor)


PARTS = {
    "columns": lambda x: [x[:, i : i + 2] for i in range(3)] + [x[:, 4:]],
    "columns and rows": lambda x: [x[:2], x[:, ::2], x[1:, 1], x[:, 3:]],
    "the last element last": lambda x: [x[:, :4], x[:5], x[5:, 4]],
    "transposed": lambda x: [x.t()[:2], x.t()[1:3], x.t()[3:]],
    "real, imaginary and whole": lambda x: [torch.view_as_real(x)[..., 0], x[:3], x.imag],
    "bytes": lambda x: [x[:2], x[:, 1:], x.view(torch.uint8)[:, 0], x.view(torch.uint8)[:, :4], x[:, 0]],
}


@pytest.mark.parametrize("name", PARTS)
def test_memory_is_written_when_its_parts_cover_it(name):
    memory, tensor = WrittenMemory(), torch.empty(6, 5, dtype=torch.complex64)
    parts = PARTS[name](tensor)
    memory.leave_unwritten(tensor)
    oracle = torch.zeros(tensor.nbytes, dtype=torch.uint8)  # the same parts of other memory, written in truth
    twin = PARTS[name](oracle.view(torch.complex64).view(6, 5))
    seen = []
    for part, same in zip(parts, twin, strict=True):
        memory.write(part)
        same.copy_(torch.from_numpy(np.full(same.nbytes, 255, np.uint8)).view(same.dtype).view(same.shape))
        seen.append(bool((oracle == 255).all()))
        assert memory.is_unwritten(tensor) is not seen[-1]
    assert seen[-1]
    assert not any(seen[:-1])


def test_memory_that_was_resized_is_covered_anew():
    memory, tensor = WrittenMemory(), torch.empty(4)
    memory.leave_unwritten(tensor)
    memory.write(tensor[::2])
    tensor.untyped_storage().resize_(32)
    grown = tensor.as_strided((8,), (1,))
    memory.write(grown[1::2])
    assert memory.is_unwritten(grown)
    memory.write(grown)
    assert not memory.is_unwritten(grown)


def test_what_is_gone_is_forgotten_and_a_new_tensor_in_its_place_is_a_stranger(monkeypatch):
    monkeypatch.setattr(module, "_FEWEST", 100)
    memory = WrittenMemory()
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
