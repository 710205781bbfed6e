"""The five example scripts, each at a small size, are sound: every operation of two runs agrees."""

from pathlib import Path

import pytest

from lastbit.script.audit.audit import audit
from lastbit.script.target import Target

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
STEPS = 4


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("plain_loop.py", ()),
        ("gan.py", ("--steps-per-epoch", "3")),
        ("accelerate_amp.py", ()),
        ("lightning_digits.py", ()),
        ("hf_trainer.py", ("--train-size", "64", "--batch-size", "8")),
    ],
)
def test_an_example_is_bit_deterministic(script, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    (tmp_path / "record").mkdir()
    target = Target("file", str(SCRIPTS / script), ("--seed", "1", *arguments))
    found = audit(target, tmp_path / "record", steps=STEPS)
    assert found.first_difference is None
    assert found.steps == STEPS
    assert found.operations > 50 * STEPS
