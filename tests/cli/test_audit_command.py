import io
import json

import pytest
from rich.console import Console

from lastbit.cli.audit_result import _show_rows

SOUND = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    model(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
"""
UNSEEDED = """
import torch
print("training")
noise = torch.rand(2, 3)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_script_is_said_to_be_so_up_to_the_step_asked_for(lastbit, place):
    (place / "train.py").write_text(SOUND)
    code, out, err = lastbit("audit", "--steps", 2, "--json", "-", "--", "train.py")
    assert (code, err.count("bit-deterministic")) == (0, 0)
    found = json.loads(out)
    assert (found["deterministic"], found["steps"], found["first_difference"]) == (True, 2, None)
    assert found["operations"] > 10


def test_a_difference_is_reported_and_kept(lastbit, place):
    (place / "train.py").write_text(UNSEEDED)
    code, out, _ = lastbit("audit", "--out", "record", "--json", "found.json", "--", "train.py")
    assert code == 0
    assert "not bit-deterministic: two runs first differ at tensor operation 1, after 0 optimizer steps" in out
    assert "operation  aten::rand, forward" in out
    assert "line       train.py:4" in out
    assert "elements of 2 x 3, by up to" in out
    found = json.loads((place / "found.json").read_text())
    assert json.loads((place / "record" / "audit.json").read_text()) == found
    difference = found["first_difference"]
    assert set(difference) >= {"op", "module", "line", "step", "phase", "shape", "elements", "max_ulp", "kind"}
    assert (difference["kind"], difference["shape"]) == ("randomness", [2, 3])
    assert (place / "record" / "a" / "output.txt").read_text() == "training\n"
    assert (place / "record" / "b" / "tensors.safetensors").is_file()


def test_a_new_audit_takes_the_place_of_an_earlier_one(lastbit, place):
    """As where a script fails, is mended, differs, and is mended again."""
    arguments = ("audit", "--out", "record", "--steps", 1, "--", "train.py")
    for source, expected in (("import torch\n1 / 0\n", 2), (UNSEEDED, 0), (SOUND, 0)):
        (place / "train.py").write_text(source)
        code, out, err = lastbit(*arguments)
        assert code == expected, err
        assert (place / "record" / "audit.json").is_file() is (code == 0)
    assert "train.py: bit-deterministic" in out
    assert json.loads((place / "record" / "audit.json").read_text())["deterministic"]
    assert not (place / "record" / "a" / "tensors.safetensors").exists()  # of the second


def test_what_is_not_of_an_audit_stays(lastbit, place):
    (place / "train.py").write_text(SOUND)
    (place / "record" / "a").mkdir(parents=True)
    code, _, err = lastbit("audit", "--out", "record", "--", "train.py")
    assert (code, err) == (2, "lastbit: record holds other files (a) and no audit: choose an empty or new directory\n")
    (place / "record" / "audit.json").write_text("{}")
    (place / "record" / "notes.txt").touch()
    code, _, err = lastbit("audit", "--out", "record", "--", "train.py")
    assert (code, err) == (
        2,
        "lastbit: record holds other files (notes.txt) beside an audit: choose an empty or new directory\n",
    )
    assert sorted(file.name for file in (place / "record").iterdir()) == ["a", "audit.json", "notes.txt"]


def test_for_ci_a_difference_is_exit_status_1(lastbit, place):
    (place / "sound.py").write_text(SOUND)
    (place / "unseeded.py").write_text(UNSEEDED)
    assert lastbit("audit", "--fail", "--steps", 1, "--", "sound.py")[::2] == (0, "")
    code, out, err = lastbit("audit", "--fail", "--json", "found.json", "--", "unseeded.py")
    assert (code, err) == (1, "")
    assert "not bit-deterministic: two runs first differ" in out
    assert json.loads((place / "found.json").read_text())["deterministic"] is False


def test_on_a_terminal_long_lines_go_on_below_their_beginning():
    said = io.StringIO()
    rows = [("cause", "random numbers [a, b]: " + 9 * "one after the other "), ("cure", "seed")]
    _show_rows(rows, Console(file=said, force_terminal=True, width=80, no_color=True))
    first, *others, last = said.getvalue().splitlines()
    assert first.startswith("  cause      random numbers [a, b]: one")
    assert len(others) == 3
    assert all(line.startswith(13 * " ") and line[13] != " " and len(line) <= 80 for line in others)
    assert last.rstrip() == "  cure       seed"


def test_a_script_that_fails_is_shown_whole(lastbit, place):
    (place / "train.py").write_text("import os\nprint('before')\nraise KeyError('boom')\n")
    code, out, err = lastbit("audit", "--", "train.py")
    assert (code, out) == (2, "")
    assert err.startswith("before\nTraceback (most recent call last):")
    assert "line 3, in <module>" in err
    assert "KeyError: 'boom'\nlastbit: train.py ended with exit code 1 in both runs\n" in err


def test_runs_that_end_differently_disagree(lastbit, place):
    (place / "train.py").write_text("import os, sys\nsys.exit(int(os.environ['PYTHONHASHSEED']) - 1)\n")
    code, _, err = lastbit("audit", "--", "train.py")
    assert code == 2
    assert "train.py ended with exit code 1 and in the other run with 0: they disagree" in err


def test_a_script_without_tensors_cannot_be_audited(lastbit, place):
    (place / "train.py").write_text("print('hello')\n")
    code, out, err = lastbit("audit", "--", "train.py")
    assert (code, out) == (2, "")
    assert err == "hello\nlastbit: train.py did no tensor operation: nothing could be compared\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no script was given"),
        (["--", "trian.py"], "there is no script trian.py"),
        (["--threads", "2", "--", "train.py"], "--threads 2: give two numbers of threads"),
        (["--threads", "1,0", "--", "train.py"], "--threads 1,0"),
        (["--steps", "0", "--", "train.py"], "'--steps'"),
        (["--json", "--", "train.py"], "--json has no value: give one before `--`"),
        (["--fail", "--record", "--", "train.py"], "--record has no value"),
        (["--out", ".", "--", "train.py"], ". holds other files (train.py) and no audit"),
    ],
)
def test_wrong_input_to_the_audit_is_one_line(lastbit, place, arguments, complaint):
    (place / "train.py").write_text(SOUND)
    code, out, err = lastbit("audit", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.startswith("lastbit: ")
    assert err.count("\n") == 1
    assert [file.name for file in place.iterdir()] == ["train.py"]
