"""A remedy in a script's own process: its weights are those of the script with the remedy written into it."""

import os
import sys

import pytest
import torch
from safetensors.torch import load_file

from lastbit.noise import Scale
from lastbit.remedies.given import parse_treatment
from lastbit.script import parse_target
from lastbit.script.training import ScriptTraining
from lastbit.study import Recorder, Trial

SCRIPT = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.{activation}(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
x = torch.randn(16, 4)
for _ in range(5):
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return tmp_path


def trained(place, name, script, treatment=""):
    (place / f"{name}.py").write_text(script)
    remedies = parse_treatment(treatment) if treatment else ()
    training = ScriptTraining(parse_target([f"{name}.py"]), directory=place, remedies=remedies)
    recorder = Recorder(Trial({}, 7, Scale(3)), place / name)
    notes = training.train(recorder)
    return notes, load_file(max((recorder.directory / "weights").iterdir()))


def test_a_script_trains_as_with_the_remedies_written_into_it(place):
    notes, outside = trained(
        place, "outside", SCRIPT.format(activation="ReLU", rate=0.1), treatment="smooth=silu+lr=0.5"
    )
    _, written = trained(place, "written", SCRIPT.format(activation="SiLU", rate=0.05))
    assert outside.keys() == written.keys()
    assert all(torch.equal(outside[name], written[name]) for name in written)
    assert notes.remarks == []


def test_a_remedy_that_changes_nothing_is_noted(place):
    notes, _ = trained(place, "tanh", SCRIPT.format(activation="Tanh", rate=0.1), treatment="smooth=gelu")
    assert notes.remarks == ["called no activation that smooth=gelu replaces: it changed nothing"]


EVALUATING = (
    SCRIPT.format(activation="Tanh", rate=0.1)
    + """
    model.eval()
    with torch.no_grad():
        print("%.9f" % model(x).square().mean().item())
    torch.save(model.state_dict(), "kept.pt")
    model.train()
"""
)


def test_an_average_is_evaluated_and_the_training_and_what_it_saves_stay_the_same(place):
    printed = {}
    kept, ends, notes = {}, {}, {}
    for name, treatment in (("plain", ""), ("averaged", "average=0.5")):
        notes[name], ends[name] = trained(place, name, EVALUATING, treatment=treatment)
        printed[name] = (place / name / "output" / "stdout.txt").read_text().split()
        kept[name] = torch.load(place / "kept.pt", weights_only=True)
    assert ends["plain"].keys() == ends["averaged"].keys()
    assert all(map(torch.equal, ends["plain"].values(), ends["averaged"].values()))
    assert all(map(torch.equal, kept["plain"].values(), kept["averaged"].values()))
    first, *later = zip(printed["plain"], printed["averaged"], strict=True)
    assert first[0] == first[1]  # of one step, the average is its weights
    assert all(plain != averaged for plain, averaged in later)
    assert notes["averaged"].remarks == [
        "evaluated averaged weights (average=0.5) in 5 calls of a model; what they saved holds the weights in training"
    ]


ORDERED = """
import os
import torch
{asked}
numbers = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
weight = torch.nn.Parameter(torch.zeros(1))
optimizer = torch.optim.SGD([weight], lr=1.0)
weight.grad = numbers.sum().view(1)
optimizer.step()
print(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), os.environ.get("MKL_CBWR"))
print(torch.backends.cpu.get_cpu_capability())
"""


def test_a_fixed_order_is_kept_against_what_the_script_asks_for(place, request):
    two = "torch.set_num_threads(2)"
    _, split = trained(place, "split", ORDERED.format(asked=two))
    _, one = trained(place, "one", ORDERED.format(asked="torch.set_num_threads(1)"))
    request.getfixturevalue("real_processes")  # the order is asked of torch before it is imported
    notes, ordered = trained(place, "ordered", ORDERED.format(asked=two), treatment="same_order:portable=true")
    assert ordered.keys() == one.keys() == split.keys()
    assert all(map(torch.equal, ordered.values(), one.values()))
    assert not any(map(torch.equal, split.values(), one.values()))
    said = (place / "ordered" / "output" / "stdout.txt").read_text().split()
    assert said[:3] == ["1", "True", "COMPATIBLE"]
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert said[3] == "AVX2"
    assert notes.remarks == ["asked for another number of threads, and kept a fixed order"]


def test_the_id_of_a_trial_without_remedies_is_what_it_was_and_of_one_with_them_another(place):
    """The id was made by the version before there were remedies for scripts."""
    (place / "train.py").write_text("pass\n")
    training = ScriptTraining(parse_target(["train.py"]), directory=place)
    assert Trial(training.settings, 1, Scale(3)).id == "92b8f8b7cc57ac75"
    treated = ScriptTraining(parse_target(["train.py"]), directory=place, remedies=parse_treatment("smooth=silu"))
    assert treated.settings == training.settings | {"remedy": {"smooth": {"to": "silu"}}}
