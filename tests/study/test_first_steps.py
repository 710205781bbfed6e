import subprocess
import sys

import pytest
import torch
import toy_training

import lastbit as lb
from lastbit.execution.numerics import probe
from lastbit.study.first_steps import EVENTS, first_steps_fingerprint
from lastbit.study.trial import Trial

COUNTED = []


def control(name):
    return Trial({"name": name}, 1, lb.Scale(1))


def train_counting(run, *, width=4, scale=1.0):
    weight = (scale * torch.linspace(-1, 1, width)).requires_grad_()
    optimizer = lb.perturb(torch.optim.SGD([weight], lr=0.1), run.noise)
    for step in range(100):
        COUNTED.append(step)
        optimizer.zero_grad()
        weight.exp().sum().backward()
        optimizer.step()


def test_a_training_is_left_after_its_first_steps_and_asked_once():
    COUNTED.clear()
    bits = first_steps_fingerprint(train_counting, control("counted"))
    assert [*range(EVENTS)] * 2 == COUNTED
    assert first_steps_fingerprint(train_counting, control("counted")) == bits
    assert len(COUNTED) == 2 * EVENTS
    assert len(bits) == 16


def test_one_bit_of_a_weight_changes_the_bits():
    one, ulp = 1.0, 1.0 + 2.0**-23
    found = [
        first_steps_fingerprint(lambda run, s=s: train_counting(run, scale=s), control(str(s))) for s in (one, ulp)
    ]
    assert found[0] != found[1]


def test_snapshots_and_numbers_are_hashed_where_no_optimizer_is():
    def logs(value):
        return lambda run: [run.log(step, loss=value / step) for step in range(1, 50)]

    def snapshots(value):
        return lambda run: [run.snapshot(step, {"w": torch.full((3,), value)}) for step in range(1, 50)]

    for number, make in enumerate((logs, snapshots)):
        first, same, other = (
            first_steps_fingerprint(make(value), control(f"{number} {i}")) for i, value in enumerate((0.1, 0.1, 0.2))
        )
        assert first == same != other


def test_a_training_that_does_not_repeat_itself_has_no_fingerprint():
    assert first_steps_fingerprint(toy_training.train_unseeded, control("unseeded")) is None


def test_one_that_raises_is_left_to_its_trial():
    def fails(run):
        raise RuntimeError("no data")

    assert first_steps_fingerprint(fails, control("fails")) is not None


def test_proving_moves_no_generator():
    before = torch.get_rng_state()
    first_steps_fingerprint(lambda run: run.log(1, value=float(torch.rand(()))), control("draws"))
    assert torch.equal(torch.get_rng_state(), before)


PROGRAM = "from lastbit.execution.numerics import probe; print(probe())"


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="this processor has one kind of kernel"
)
def test_the_probe_tells_kinds_of_kernels_apart(warm_python):
    command = [sys.executable, "-c", PROGRAM]
    plain = warm_python.run(command, check=True).stdout.strip()
    assert plain == probe()
    import os

    other = subprocess.run(
        command, env={**os.environ, "ATEN_CPU_CAPABILITY": "default"}, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other != plain
