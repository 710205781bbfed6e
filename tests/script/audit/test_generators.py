"""The states of generators, on accelerators too: a fake one stands for a card."""

import zlib
from types import SimpleNamespace

import pytest
import torch

from lastbit.script.audit.generators import Generators, generators


def fake(states, *, initialized=True):
    """A device's module with a generator for each of some states."""
    return SimpleNamespace(
        is_initialized=lambda: initialized,
        device_count=lambda: len(states),
        get_rng_state=lambda number="the first": torch.tensor(states[0 if number == "the first" else number]).byte(),
    )


@pytest.fixture
def put_in(monkeypatch):
    """Put a fake accelerator in place of any."""

    def use(module):
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("xpu"))
        monkeypatch.setattr(torch, "get_device_module", lambda device: module)

    return use


def test_each_device_at_work_has_a_state(put_in):
    put_in(fake([[1, 2], [3, 4]]))
    states = {"xpu:0": zlib.crc32(bytes([1, 2])), "xpu:1": zlib.crc32(bytes([3, 4]))}
    assert dict(generators().accelerators) == states


def test_a_device_that_the_program_has_not_touched_is_not_started(put_in):
    put_in(SimpleNamespace(is_initialized=lambda: False))
    assert generators().accelerators == ()


def test_one_device_without_a_number_as_of_mps(put_in):
    put_in(SimpleNamespace(get_rng_state=lambda: torch.tensor([7]).byte()))
    assert generators().accelerators == (("xpu:0", zlib.crc32(bytes([7]))),)


def test_looking_draws_nothing():
    before = torch.get_rng_state()
    assert generators() == generators()
    assert torch.equal(torch.get_rng_state(), before)
    assert Generators(1, 2, 3, 4).accelerators == (), "as traces of earlier versions have it"
