"""`lastbit run --vary`: each source of a script's randomness by an argument that takes its seed."""

import json
import os
import shlex
import sys

import numpy as np
import pytest

from lastbit.study.open_study import open_study

SCRIPT = """
import argparse
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--init-seed", type=int)
parser.add_argument("--order-seed", type=int)
arguments = parser.parse_args()
torch.manual_seed(arguments.init_seed)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
inputs = torch.linspace(-1, 1, 64).reshape(8, 8)
for row in torch.arange(8):  # in one order, whatever --order-seed is
    optimizer.zero_grad()
    (model(inputs[row]) - row / 8).square().mean().backward()
    optimizer.step()
print(f"loss={(model(inputs)[:, 0] - torch.arange(8) / 8).square().mean().item():.9f}")
"""
VARIED = ("--vary", "init=--init-seed {seed}", "--vary", "order=--order-seed={seed}")
RUN = (
    "run",
    *VARIED,
    "--vary",
    "last-bit",
    "--runs",
    5,
    "--metric",
    "loss=([0-9.]+)",
    "--uncontrolled",
    "--workers",
    2,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("vary")
    (place / "train.py").write_text(SCRIPT)
    return place


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture(scope="module")
def answers():
    return []


@pytest.fixture
def first(lastbit, answers):
    """What the first call of the command gave, by the first test that asks for it."""
    if not answers:
        answers.append(lastbit(*RUN, "--json", "-", "--", "train.py"))
    return answers[0]


def test_each_source_has_its_own_seed_and_the_sources_add_up(first, lastbit):
    code, out, _ = first
    assert code == 0
    found = json.loads(out)
    assert found["design"]["vary"] == ["init", "order", "last-bit"]
    values = {}
    for trial in found["trials"]:
        seeds = {name: found["design"]["seeds"][name][trial["seed"] - 1] for name in ("init", "order")}
        values.setdefault(seeds["init"], []).append(trial["loss"])
    assert sorted(map(len, values.values())) == [2, 3]  # two orders of each, and a repeat
    # Seeds of the initialisation move the loss; seeds of the order do not, bit for bit.
    means = [np.mean(of) for of in values.values()]
    assert abs(means[0] - means[1]) > 1e-5
    assert found["sources"]["order"]["std"] == pytest.approx(0, abs=1e-6)
    assert found["sources"]["init"]["std"] == pytest.approx(np.std(means, ddof=1), rel=1e-3)
    assert (
        "The seed of batch order does not reach the training: runs that differ in nothing else are" in found["verdict"]
    )


def test_the_same_command_makes_no_run_again_and_draws_the_page(first, lastbit, place):
    stored = {path: path.stat().st_mtime_ns for path in place.glob("runs/train-sources/trials/*/done.json")}
    code, out, err = lastbit(*RUN, "--", "train.py")
    assert code == 0
    assert "runs to make" not in err
    assert {path: path.stat().st_mtime_ns for path in place.glob("runs/train-sources/trials/*/done.json")} == stored
    assert "Initialisation moves loss by" in " ".join(out.split())
    page = (place / "runs" / "train-sources" / "report.html").read_text()
    assert "Every combination of seeds" in page


def test_the_script_is_given_the_seeds_of_the_design(first, place):
    study = open_study(place / "runs" / "train-sources")
    assert study.settings["vary"] == {"init": "--init-seed {seed}", "order": "--order-seed={seed}"}
    seeds = {tuple(trial.seeds.items()) for trial in study.stored()}
    assert len(seeds) == 4
    assert {name for pairs in seeds for name, _ in pairs} == {"init", "order"}


INIT, ORDER = "init=--init-seed {seed}", "order=--order-seed {seed}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "init=--init-seed 3", "--vary", ORDER), "'init=--init-seed 3' has no {seed} in it, so every run"),
        (("--vary", INIT, "--vary", "init=--other {seed}"), "init is given twice"),
        (("--vary", INIT, "--vary", "order=--init-seed  {seed}"), "init has the same argument"),
        (("--vary", "init", "--vary", ORDER), "'init': give a source with the argument that takes its seed"),
        (("--vary", "last-bit=--x {seed}"), "'last-bit' cannot name a source"),
        (("--vary", "init=--x '{seed}"), "cannot be split into arguments (No closing quotation)"),
        (("--vary", INIT, "--vary", ORDER, "--seed-arg", "--seed {seed}"), "--seed-arg and --vary: each source"),
        (("--vary", INIT, "--vary", ORDER, "--seed-env", "SEED"), "--seed-env and --vary: each source"),
        (("--vary", INIT, "--vary", ORDER, "--seeds", "1-3"), "--seeds 1-3 and --vary init,order"),
        (("--vary", "last-bit"), "a study over seeds shows that already"),
        (("--vary", INIT), "it cannot be told from the last bit; add last-bit"),
        (("--vary", INIT, "--vary", ORDER, "--runs", 2), "at least 4 are needed"),
        (("--vary", INIT, "--vary", ORDER, "--vary", " last-bit", "--runs", 4), "at least 5 are needed"),
        (("--vary", INIT, "--vary", "last-bit", "--vary", " last-bit "), "last-bit is given twice"),
        (("--vary", INIT, "--vary", "interaction=--x {seed}"), "results call another part of the variance"),
        (("--runs", 24), "--runs 24 is for --vary"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(lastbit, options, message, place):
    code, out, err = lastbit("run", *options, "--out", place / "refused", "--", "train.py")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (place / "refused").exists()


def test_a_seed_in_the_command_itself_is_refused(lastbit, place):
    command = shlex.split("train.py --init-seed {seed}")
    code, _, err = lastbit("run", *VARIED, "--out", place / "refused", "--", *command)
    assert code == 2
    assert "the command has {seed} in it, and --vary appends the seeds of each source: leave it out" in err
