"""Trials of scripts that end in their own ways: the last weights are known by hand, w = 1 - 0.5 for each step."""

import os
import sys

import pytest
from safetensors.torch import load_file

from lastbit.noise import Order, Scale
from lastbit.script import Target, parse_target
from lastbit.script.endings import ScriptError, UnfitError, UntrainedError, checked_notes
from lastbit.script.notes import Notes
from lastbit.script.training import ScriptTraining
from lastbit.study import Recorder, Trial

BEGIN = """
import atexit, os, sys, torch
w = torch.nn.Parameter(torch.ones(1)); optimizer = torch.optim.SGD([w], lr=0.5)
def step(count):
    for _ in range(count):
        optimizer.zero_grad(); w.sum().backward(); optimizer.step()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return tmp_path


def trained(place, body, noise=None, **options):
    (place / "train.py").write_text(body)
    training = ScriptTraining(parse_target(["train.py"]), directory=place, **options)
    recorder = Recorder(Trial({}, 7, noise or Scale(1)), place / "trial")
    return training.train(recorder), recorder.directory


def last_weight(directory):
    file = max((directory / "weights").iterdir())
    return int(file.stem), load_file(file).popitem()[1].item()


@pytest.mark.parametrize(
    "body",
    [
        "def main(): step(7)\nsys.exit(main())",
        "step(7); os._exit(0)",
        "atexit.register(step, 4); step(3); sys.exit(0)",
    ],
)
def test_the_last_weights_are_kept_however_a_script_ends(place, body):
    notes, directory = trained(place, BEGIN + body)
    assert notes.steps == 7
    assert last_weight(directory) == (7, -2.5)


@pytest.mark.parametrize(("nan", "exited"), [("", True), ("w.data.fill_(float('nan')); ", False)])
def test_an_exit_after_training_is_judged_by_what_it_was_called_with(place, nan, exited):
    with pytest.raises(ScriptError, match=r"it had taken 4 steps before it ended by sys.exit\(93.5\)") as found:
        trained(place, BEGIN + f"def main(): step(3); {nan}step(1); return 93.5\nsys.exit(main())")
    assert (found.value.exit_code, found.value.exited, found.value.said) == (1, exited, "93.5")


def test_networks_trained_in_turn_are_each_kept_at_their_end(place):
    body = (
        "import torch\nfor fold in range(3):\n"
        "    w = torch.nn.Parameter(torch.ones(1)); o = torch.optim.SGD([w], lr=0.5)\n"
        "    for _ in range(7): o.zero_grad(); w.sum().backward(); o.step()\n"
        "torch.save(w, 'last.pt'); torch.load('last.pt', weights_only=False)\n"
        "print('seed', __import__('os').environ['SEED'])\n"
    )
    notes, directory = trained(place, body, seed_env="SEED")
    assert notes.in_turn == 3
    kept = {int(file.stem): load_file(file).popitem()[1].item() for file in (directory / "weights").iterdir()}
    assert [kept[7], kept[14], kept[21]] == [-2.5, -2.5, -2.5]
    assert (directory / "output" / "stdout.txt").read_text() == "seed 7\n"
    assert str(place / "last.pt") in notes.wrote
    assert notes.read_back == [str(place / "last.pt")]
    assert notes.read == {}


@pytest.mark.parametrize(
    ("code", "notes", "kind", "complaint"),
    [
        (3, Notes(steps=3), ScriptError, "train.py x ended with exit code 3"),
        (
            1,
            Notes(steps=40, exited="'done'"),
            ScriptError,
            r"ended with exit code 1: it had taken 40 steps before it ended by sys.exit\('done'\), which is a failure",
        ),
        (1, Notes(exited="'no data'"), ScriptError, "ended with exit code 1$"),
        (-15, None, ScriptError, r"train.py x was killed by signal 15 \(SIGTERM\)"),
        (-11, Notes(steps=3), ScriptError, r"train.py x was killed by signal 11 \(SIGSEGV\)"),
        (0, None, UnfitError, "train.py ended with status 0 before it could report"),
        (0, Notes(steps=3, replaced="true x"), UnfitError, r"another program after 3 steps \(os.exec: true x\)"),
        (0, Notes(steps=3, fault="OSError: full"), ScriptError, "train.py: the last weights could not be kept"),
        (0, Notes(steps=3, refused="no k here"), UnfitError, "no k here"),
        (1, Notes(refused="no k here"), UnfitError, "no k here"),
        (0, Notes(), UntrainedError, "train.py made no torch optimizer, so there is nothing"),
        (0, Notes(optimizers=["SGD"]), UntrainedError, r"made an optimizer \(SGD\) and never called its step$"),
        (0, Notes(children=["torchrun a.py", "b"]), UntrainedError, r"another \(torchrun a.py, and 1 more\)"),
    ],
)
def test_an_end_that_cannot_count_is_reported(tmp_path, code, notes, kind, complaint):
    (tmp_path / "stdout.txt").write_text("the last line\n")
    (tmp_path / "stderr.txt").touch()
    with pytest.raises(kind, match=complaint) as found:
        checked_notes(Target("file", "train.py", ("x",)), code, notes, tmp_path)
    assert found.type is kind
    assert found.value.exit_code == (code if kind is ScriptError and code else None)
    assert found.value.said == (
        "the last line" if found.value.exit_code else "OSError: full" if notes and notes.fault else ""
    )


def test_a_batch_that_cannot_be_permuted_is_a_line(place):
    body = (
        "class Batch:\n    def __init__(self, rows): self.x = torch.stack(rows)\n"
        "for b in torch.utils.data.DataLoader(torch.ones(4, 1), 2, shuffle=True, collate_fn=Batch): step(1)\n"
    )
    with pytest.raises(
        UnfitError, match=r"--noise order: the batch is a __main__.Batch, whose samples are not recognised"
    ):
        trained(place, BEGIN + body, Order(1))


@pytest.mark.usefixtures("real_processes")
def test_a_trials_process_imports_neither_statistics_nor_charts(place):
    _, directory = trained(place, BEGIN + "step(1); print({'altair', 'scipy'} & set(sys.modules))")
    assert (directory / "output" / "stdout.txt").read_text() == "set()\n"
