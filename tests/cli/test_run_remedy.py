"""`lastbit run --remedy`: a script without and with remedies, and what they change."""

import json
import os
import sys
from pathlib import Path

import pytest

from lastbit.study.open_study import open_study

SCRIPT = """
import argparse, torch
import lastbit as lb
from torch import nn
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
torch.manual_seed(parser.parse_args().seed)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(64, 8)
for step in range(6):
    optimizer.zero_grad()
    loss = (model(x) - x[:, :1]).square().mean()
    loss.backward()
    optimizer.step()
print(f"loss={loss.item():.9f}")
lb.log_predictions((model(x)[:, 0] > 0).long())
"""
WORDS = ("--k", "1,3", "--seeds", "1-2", "--seed-arg", "--seed {seed}", "--metric", "loss=([0-9.]+)", "--workers", "1")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def losses(name):
    """By seed, the mean over noises of what the runs printed."""
    study = open_study(Path("out") / name)
    by_seed = {}
    for trial in study.trials():
        said = (study.store.load(trial).directory / "output" / "stdout.txt").read_text()
        by_seed.setdefault(trial.seed, []).append(float(said.split("=")[1]))
    return {seed: sum(values) / len(values) for seed, values in by_seed.items()}


def test_runs_without_and_with_a_remedy_are_compared_and_not_run_again(lastbit, place):
    words = ("run", *WORDS, "--uncontrolled", "--out", "out", "--remedy", "smooth=silu")
    code, out, err = lastbit(*words, "--json", "-", "--", "train.py")
    assert code == 0, err
    content = json.loads(out)
    (row,) = content["remedies"]
    assert (row["name"], row["options"], row["better"]) == ("smooth=silu", {"smooth": {"to": "silu"}}, None)
    without, smooth = losses("baseline"), losses("smooth=silu")
    change = [smooth[seed] - without[seed] for seed in (1, 2)]
    assert row["accuracy_difference"] == pytest.approx(sum(change) / 2)
    low, high = row["accuracy_change"]
    assert low < row["accuracy_difference"] < high
    # Of two numbers, Student's t at one degree of freedom: 12.706 times half of what is between them.
    assert high - low == pytest.approx(2 * 12.7062 * abs(change[0] - change[1]) / 2, rel=1e-4)
    assert content["baseline"]["accuracy"] == pytest.approx(sum(without.values()) / 2)
    assert row["spread"]["interval"][0] <= row["spread"]["value"] <= row["spread"]["interval"][1]
    assert 0 < row["distance"] < 1e-4
    assert row["churn"]["last_bit"]["value"] == 0
    assert f"({row['accuracy_difference']:+.{content['decimals']}f}, interval " in content["verdict"]
    assert "Churn without and with each remedy" in Path("out/remedies.html").read_text()

    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*/trials/*/done.json")}
    assert len(before) == 8
    code, out, err = lastbit(*words, "--", "train.py")
    assert (code, err) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "smooth=silu: loss is" in " ".join(out.split())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--remedy", "capped"), "lastbit: --remedy capped=0.9 cannot be put on a script from outside: it measures"),
        (("--remedy", "smoth"), "lastbit: there is no remedy 'smoth', did you mean smooth?"),
        (
            ("--remedy", "float64"),
            "lastbit: float64=update rounds away what the noise scale does to an update, so that",
        ),
        (("--remedy", "clip", "--vary", "init=--seed {seed}"), "lastbit: --remedy compares runs over seeds and noises"),
    ],
)
def test_what_does_not_go_is_said_in_a_line_before_anything_runs(lastbit, place, given, message):
    code, out, err = lastbit("run", *given, "--", "train.py")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(message)
    assert not Path("runs").exists()
