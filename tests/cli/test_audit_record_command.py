"""`lastbit audit --record` as a person calls it."""

import json
from pathlib import Path

import pytest

from lastbit.script.trace.reader import read_trace

TRAIN = """
import sys
import torch
torch.manual_seed(0)
print("training")
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=float(sys.argv[1]))
for _ in range(3):
    model(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def test_a_trace_is_recorded_and_its_size_is_said(lastbit, place):
    arguments = ("--steps", 2, "--threads", 1, "--json", "found.json", "--", "train.py", "0.5")
    code, out, err = lastbit("audit", "--record", "a.trace", *arguments)
    trace, found = read_trace(place / "a.trace"), json.loads((place / "found.json").read_text())
    size = (place / "a.trace").stat().st_size
    assert found == {
        "trace": "a.trace",
        "operations": len(trace.records),
        "steps": 2,
        "bytes": size,
        "ranks": 1,
        "left_out": 0,
    }
    counted = f"recorded {len(trace.records)} tensor operations over 2 optimizer steps in a.trace"
    assert (code, err) == (0, "")
    assert out.startswith(f"train.py 0.5: {counted}: {size / 1e3:.1f} kB, ")
    assert out.endswith("no values beyond sketches\n")
    assert trace.header.command == ("train.py", "0.5")
    assert trace.numerics["threads"] == 1
    updates = [record.arguments["alpha"] for record in trace.records if record.site.phase == "optimizer"]
    assert set(updates) == {"-0.5"}


def test_a_script_that_fails_is_shown_and_what_came_before_is_kept(lastbit, place):
    code, out, err = lastbit("audit", "--record", "a.trace", "--", "train.py", "x")
    assert (code, out) == (2, "")
    assert "training\nTraceback" in err
    assert "lastbit: train.py ended with exit code 1; a.trace holds the" in err
    assert not read_trace(place / "a.trace").ended


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--threads", "1,2"),
            "--threads 1,2: a trace is of one run: with --record and --against give one number, as in 1",
        ),
        (("--threads", "0"), "--threads 0: a trace is of one run"),
        (("--fail",), "--fail is for the comparison of two runs; --record runs the script once and keeps a trace"),
        (("--out", "there"), "--out is for the comparison of two runs"),
        (("--record", "taken.trace"), "taken.trace exists: name another file for the trace, or remove it"),
        (("--record", "missing/a.trace"), "missing/a.trace cannot be written: there is no directory missing"),
        (("--record", "."), "exists: name another file"),
    ],
)
def test_what_cannot_be_is_one_line(lastbit, place, options, message):
    Path("taken.trace").write_text("mine")
    code, out, err = lastbit("audit", "--record", "a.trace", *options, "--", "train.py", "0.5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert (Path("taken.trace").read_text(), Path("a.trace").exists()) == ("mine", False)
