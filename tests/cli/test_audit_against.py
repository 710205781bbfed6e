"""A script recorded with what rounding explains, and run against that with changes that round and that do not."""

import json

import pytest

from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.rounding import carried_over, kept_envelopes

SCRIPT = """
import sys
import torch
from torch import nn

how = sys.argv[1:]
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Dropout(0.2 if "drop" in how else 0.1), nn.Linear(50, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused="fused" in how)
for step in range(4):
    x, y = torch.randn(64, 20), torch.randint(3, (64,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a script."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def test_recorded_with_rounding_and_compared_with_what_rounds_and_what_does_not(lastbit, place):
    """One test, for each run imports torch."""
    code, out, err = lastbit("audit", "--record", "a.trace", "--rounding", "--", "train.py")
    assert (code, err) == (0, "")
    assert "what rounding explains is in a.trace.rounding" in out
    code, out, _ = lastbit("audit", "--fail", "--against", "a.trace", "--json", "-", "--", "train.py", "fused")
    found = json.loads(out)
    assert (code, found["same_bits"], found["beyond_rounding"]) == (0, False, None)
    assert found["verdict"].endswith("within rounding up to the end: the runs are the same computation")
    code, out, _ = lastbit("audit", "--fail", "--against", "a.trace", "--out", "kept", "--", "train.py", "drop")
    assert code == 1
    assert "leaves rounding at operation 8, step 0, model.2: dropout p 0.1 against 0.2 at train.py:13" in out
    assert "this run" in (place / "kept" / "audit.html").read_text()
    # Another script is refused before it runs.
    (place / "other.py").write_text("raise SystemExit('was run')")
    code, out, err = lastbit("audit", "--against", "a.trace", "--", "other.py")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "the trace is of another script: train.py, which has hardly a line in common with other.py" in err
    # One that fails is told without the file that it was recorded in, which is gone by then.
    with (place / "train.py").open("a") as script:
        script.write("raise ValueError('too far')\n")
    code, out, err = lastbit("audit", "--against", "a.trace", "--", "train.py")
    assert (code, out, "ValueError: too far" in err) == (2, "", True)
    assert err.splitlines()[-1].startswith("lastbit: train.py ended with exit code 1 after ")
    assert "here.trace" not in err
    # The same without the script: the envelope lies beside the trace.
    trace = read_trace(place / "a.trace")
    envelopes = kept_envelopes(place / "a.trace", 1)
    assert compare_traces(trace, trace, envelopes).is_rounding
    code, out, _ = lastbit("audit", "diff", "--fail", "a.trace", "a.trace")
    assert (code, "the same bits in" in out) == (0, True)
    # To itself it is carried over as it is.
    assert carried_over(envelopes, [trace], [trace])[0].limits == envelopes[0].limits
    (place / "a.trace.rounding").write_text("{}")
    assert lastbit("audit", "diff", "a.trace", "a.trace")[0] == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--rounding",), "--rounding is for --record"),
        (("--record", "a.trace", "--against", "b.trace"), "--record and --against: give one of them"),
        (("--against", "none.trace"), "none.trace"),
        (("--against", "train.py"), "train.py"),
    ],
)
def test_wrong_input_is_one_line_and_runs_nothing(lastbit, place, options, complaint):
    code, out, err = lastbit("audit", *options, "--", "train.py")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
    code, out, err = lastbit("audit", "diff", "--against", "a.trace", "a.trace", "b.trace")
    assert (code, "audit diff runs nothing" in err) == (2, True)
    assert [path.name for path in place.iterdir()] == ["train.py"]
