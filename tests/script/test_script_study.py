"""What is said of runs that may not have started alike, ended as NaN, or took other numbers of steps."""

import json

import pytest

import lastbit as lb
from lastbit.script.metrics import write_found
from lastbit.script.notes import Notes
from lastbit.script.pattern_metric import PatternMetric
from lastbit.script.study import remarks, script_study, shared_files
from lastbit.script.target import Target
from lastbit.script.training import ScriptTraining

NOTES = [
    Notes(steps=4, began=100, ended=200, wrote={"/work/last.pt": 190}, in_turn=2),
    Notes(
        steps=3,
        began=300,
        ended=400,
        read={"/work/last.pt": 190},
        doubts=["read last.pt, written by the run of seed 1, k=1"],
    ),
]
SAID = ["loss=0.5\nloss=nan\n", "loss=0,5\n"]


@pytest.fixture
def study(tmp_path):
    """Two stored trials, as their processes would have left them."""
    (tmp_path / "train.py").touch()
    training = ScriptTraining(
        Target("file", "train.py"), metrics=(PatternMetric("loss=([0-9.]+)"),), directory=tmp_path
    )
    study = script_study(tmp_path / "study", training, noises=[lb.Scale(1), lb.Scale(3)], seeds=[1], controlled=False)
    with study.store.claimed(study.description()):
        for trial, notes, said in zip(study.trials(), NOTES, SAID, strict=True):
            recorder = study.store.begin(trial, {})
            output = recorder.directory / "output"
            output.mkdir()
            (output / "stdout.txt").write_text(said)
            (output / "stderr.txt").touch()
            notes.write(output)
            study.store.finish(trial, recorder)
            write_found(training.metrics, study.store.load(trial).directory / "output")
    return study, training


def test_what_a_person_should_know_is_reported(study):
    assert list(remarks(*study)) == [
        "--metric 'loss=([0-9.]+)' stops inside '0,5', so that no number was read there: let the group take all of the"
        " number, or put the character that ends it right after the group, as in '([0-9]+),'",
        "loss ended as NaN in 2 of 2 runs, controls included; they count in no average",
        "runs did not take the same number of steps: seed 1, k=3 took 3, seed 1, k=1 took 4. Where the script does not"
        " stop by what it measures, one of them was ended early",
        "train.py trained 2 networks one after another. At each step the weights of the one then in training are"
        " compared; of a metric that each of them gives, the last one's counts",
    ]
    assert shared_files(*study).startswith(
        "The run of seed 1, k=3 read /work/last.pt, written by the run of seed 1, k=1"
    )


def test_the_verdict_begins_with_what_a_run_had_from_another(study):
    results = study[0].results()
    assert results.verdict.startswith(
        "Runs may not have started alike: seed 1, k=3 read last.pt, written by the run of seed 1, k=1. Without controls"
    )
    assert json.loads(json.dumps(results.as_json()))["verdict"] == results.verdict
