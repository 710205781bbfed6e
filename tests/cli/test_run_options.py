"""One script in every style of torch's own that changes how a step is computed, against itself under plain `python`."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from lastbit.study.open_study import open_study

SCRIPT = """
import argparse
from functools import partial
import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--out", required=True)
parser.add_argument("--only-what-can-be-matched", action="store_true")
args = parser.parse_args()
fused = not args.only_what_can_be_matched
torch.manual_seed(0)
x = torch.randn(64, 8)


def net():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))


def plainly(model, *optimizers, forward=None, compiled=False):
    def update():
        for optimizer in optimizers:
            optimizer.step()

    update = torch.compile(update, backend="eager") if compiled else update
    for _ in range(5):
        for optimizer in optimizers:
            optimizer.zero_grad()
        ((forward or model)(x) - x[:, :1]).square().mean().backward()
        update()
    return model.state_dict()


def scaled(model, optimizer):
    scaler = torch.amp.GradScaler("cpu", init_scale=1000.0, growth_interval=2)
    for step in range(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = (model(x).float() - x[:, :1]).square().mean()
        scaler.scale(loss).backward()
        if step == 2:
            model[0].weight.grad[0, 0] = float("inf")  # this step is to be skipped
        if step == 3:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        scaler.step(optimizer)
        scaler.update()
    return model.state_dict()


def compiled(model, optimizer):
    return plainly(model, optimizer, forward=torch.compile(model, backend="eager"))


def two(model, optimizer):
    return plainly(model, optimizer, torch.optim.SGD([{"params": [model[2].weight], "lr": 0.1}], lr=1.0))


SGD = lambda p, **o: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3, **o)
Adam = lambda p, **o: torch.optim.Adam(p, lr=0.01, amsgrad=True, **o)
AdamW = lambda p, **o: torch.optim.AdamW(p, lr=0.01, **o)
results = {}
for name, make, train, options in (
    ("scaled", SGD, scaled, {}),
    ("compiled", SGD, compiled, {}),
    ("two", Adam, two, {}),
    ("SGD foreach", SGD, plainly, {"foreach": True}),
    ("AdamW foreach", AdamW, plainly, {"foreach": True}),
    ("SGD fused", SGD, plainly, {"fused": fused}),
    ("AdamW fused", AdamW, plainly, {"fused": fused}),
    ("fused and scaled", Adam, scaled, {"fused": fused}),
    ("compiled update", Adam, partial(plainly, compiled=fused), {}),
):
    model = net()
    parameters = model[0].parameters() if train is two else model.parameters()
    results[name] = train(model, make(parameters, **options))
torch.save(results, args.out)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def test_every_way_to_step_is_matched_by_k_1_and_2_and_disturbed_by_3(lastbit, place, warm_python):
    """What no k can match, a fused or a compiled update, is stepped as torch's others in every run."""
    command = ("--k", "1,2,3", "--uncontrolled", "--out", "study", "--", "train.py", "--out", "{trial}/model.pt")
    code, out, err = lastbit("run", "--json", "-", *command)
    assert code == 0, err
    assert len(json.loads(out)["trials"]) == 3
    assert "3 optimizer(s) were made with fused=True" in err
    study = open_study(Path("study"))
    first, second, third = (_weights(study.store.load(trial).directory / "output/model.pt") for trial in study.trials())
    plain = _plain(warm_python)
    assert list(plain) == list(first) == list(third)
    assert {name for name in plain if not _same(plain[name], first[name])} == set()
    assert {name for name in plain if not _same(first[name], second[name])} == set()
    assert {name for name in plain if _same(first[name], third[name])} == set()


def _plain(python):
    words = [sys.executable, "train.py", "--out", "plain.pt", "--only-what-can-be-matched"]
    python.run(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    return _weights(Path("plain.pt"))


def _weights(path):
    return torch.load(path)


def _same(weights, others):
    return all(torch.equal(weights[name], others[name]) for name in weights)
