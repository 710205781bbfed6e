"""A fixed order of operations, put on a program: it holds against what the program asks for, and that is said."""

import os

import pytest
import torch

from lastbit.errors import LastbitError
from lastbit.remedies.given import parse_treatment


@pytest.fixture
def _as_it_was(monkeypatch):
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    names = ("set_num_threads", "use_deterministic_algorithms")
    kept = {name: getattr(torch, name) for name in names}
    monkeypatch.setattr(os, "environ", dict(os.environ))
    yield
    for name, function in kept.items():
        setattr(torch, name, function)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark


@pytest.mark.usefixtures("_as_it_was")
def test_threads_and_kernels_hold_and_what_was_asked_for_is_said():
    (remedy,) = parse_treatment("same_order:portable=true")
    said = remedy.on_program(pytest.fail)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    assert said() == ""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (1, True)
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert said() == "asked for other kernels and for another number of threads, and kept a fixed order"
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX2"


@pytest.mark.parametrize("text", ["same_order:threads=0", "same_order:portable=2", "same_order=1"])
def test_wrong_options_are_refused_in_a_line(text):
    with pytest.raises(LastbitError) as refused:
        parse_treatment(text)
    assert "same_order" in str(refused.value)
