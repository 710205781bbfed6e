"""Studies on a CUDA device: controls, resumption, bit fingerprints, a cluster's worker with a GPU, the doctor."""

from pathlib import Path

import pytest
import torch
from distributed import LocalCluster

import lastbit as lb
from lastbit.cli.doctor_checks import examine
from lastbit.execution.cluster import cluster
from lastbit.execution.numerics import probe
from lastbit.execution.repeatability import Condition
from lastbit.paper.item import Work
from lastbit.paper.items.figure8 import FIGURE8
from lastbit.paper.items.table1 import TABLE1
from lastbit.paper.suite import make
from lastbit.study import Recorder, Trial
from lastbit.study.first_steps import first_steps_fingerprint
from lastbit.study.training import run_trial
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining

CHANGES = ("data.train=300", "data.test=100", "batch_size=50", "epochs=4", "schedule.milestones=[2]")


class KilledError(Exception):
    """What ends a training from outside."""


def training(**options):
    return RecipeTraining(load_recipe("demo", scale="smoke", changes=CHANGES), device="cuda", **options)


def study(out, train=None):
    return lb.Study(out, train or training(), noises=[lb.Scale(1), lb.Scale(3)], seeds=(1, 2))


def contents(folder: Path) -> dict[str, bytes]:
    """What trials found, without when and where."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".safetensors", ".csv", ".parquet", ".jsonl")
    }


def test_controls_agree_and_the_last_bit_moves_the_rest(tmp_path):
    made = study(tmp_path / "s")
    made.complete()
    controls = made.controls()
    assert controls is not None
    assert controls.passed
    digests = {trial.label: made.store.load(trial).digest for trial in made.trials()}
    assert len(set(digests.values())) == len(digests) == 4
    found = made.store.load(made.trials()[0])
    assert torch.cuda.get_device_name() in str(found.fingerprint)


def test_a_trial_gives_the_bits_of_the_study_again(tmp_path):
    for name in ("one", "two"):
        study(tmp_path / name).complete()
    assert contents(tmp_path / "one") == contents(tmp_path / "two") != {}


def test_bit_fingerprints_and_the_probe_repeat():
    assert probe() == probe()
    train = training()
    control = Trial(train.settings, 1, lb.Scale(1))
    first = first_steps_fingerprint(train, control)
    assert first is not None
    cpu = RecipeTraining(train.recipe, device="cpu")
    assert first_steps_fingerprint(cpu, Trial(cpu.settings, 1, lb.Scale(1))) is not None


def test_a_killed_trial_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    trial = Trial(training().settings, 1, lb.Rounding(0.2, 1))
    for name in ("whole", "cut"):
        (tmp_path / name / "trials").mkdir(parents=True)
    assert run_trial(training(), trial, tmp_path / "whole", "cuda").error is None
    real, lives = Recorder.save_checkpoint, [2]

    def dies(self, step, state):
        real(self, step, state)
        lives[0] -= 1
        if not lives[0]:
            raise KilledError

    monkeypatch.setattr(Recorder, "save_checkpoint", dies)
    assert "KilledError" in run_trial(training(checkpoint_every=1), trial, tmp_path / "cut", "cuda").error
    assert run_trial(training(checkpoint_every=1), trial, tmp_path / "cut", "cuda").error is None
    assert lives[0] < 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole") != {}


@pytest.mark.filterwarnings("ignore")  # of a cluster that closes
def test_a_trial_goes_to_a_worker_with_a_gpu(tmp_path):
    options = {"processes": False, "protocol": "tcp", "dashboard_address": ":0", "threads_per_worker": 1}
    running = LocalCluster(n_workers=1, resources={"GPU": 1}, **options)
    with running, cluster(running.scheduler_address) as executor:
        assert [worker.gpus for worker in executor.workers()] == [1]
        study(tmp_path / "there").complete(executor)
    study(tmp_path / "here").complete()
    assert contents(tmp_path / "there") == contents(tmp_path / "here") != {}


def test_the_doctor_finds_the_device_fit():
    found = examine("cuda")
    wrong = [f"{check.name}: {check.said}" for check in found.checks if check.outcome is Condition.FAILS]
    assert wrong == []


@pytest.mark.parametrize("item", [FIGURE8, TABLE1], ids=lambda item: item.id)
def test_items_of_the_paper_train_there(tmp_path, item):
    made = make(item, "smoke", Work(tmp_path, device="cuda"))
    claims, _ = item.read(made.result)
    assert claims
    assert made.fingerprint["device"] == torch.cuda.get_device_name()
