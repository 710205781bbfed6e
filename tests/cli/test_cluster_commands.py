"""Commands on a cluster: what they do, and what they say before anything starts where something is wrong."""

import json
import shutil
import socket
from pathlib import Path

import pytest

import lastbit as lb
from lastbit.execution import cluster as module
from lastbit.execution import scheduler as scheduler_module
from lastbit.study.open_study import open_study

TINY = ("demo", "--scale", "smoke", "--set", "data.train=256", "--set", "data.test=100", "--k", "1,3", "--seeds", "1")

SCRIPT = """
import torch
weight = torch.ones(3, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.1)
for step in range(3):
    weight.exp().sum().backward()
    optimizer.step()
print("acc=0.5")
"""


@pytest.fixture(scope="module")
def scheduler():
    from distributed import LocalCluster

    options = {"processes": False, "protocol": "tcp", "dashboard_address": ":0", "threads_per_worker": 1}
    with LocalCluster(n_workers=1, **options) as running:
        yield running.scheduler_address


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_study_of_a_recipe(lastbit, tmp_path, scheduler):
    code, out, err = lastbit("study", *TINY, "--scheduler", scheduler, "--out", tmp_path / "there", "--json", "-")
    assert code == 0, err
    results = json.loads(out)
    assert results["controls"] == {"repeat": True, "power_of_two": True}
    assert [group["seeds"] for group in results["numerics"]] == [[1]]
    assert results["numerics"][0]["bit_fingerprint"] == open_study(tmp_path / "there").bit_fingerprints()[1]


def test_a_script_runs_where_the_command_was_given(lastbit, tmp_path, monkeypatch, scheduler):
    """The worker's process was started elsewhere; here it is this one, which has moved on."""
    (tmp_path / "train.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    words = ("run", "--uncontrolled", "--k", "1,3", "--metric", "acc=([0-9.]+)", "--scheduler", scheduler)
    code, out, err = lastbit(*words, "--json", "-", "--", "train.py")
    assert code == 0, err
    assert [(row["noise"], row["acc"]) for row in json.loads(out)["trials"]] == [("k=1", 0.5), ("k=3", 0.5)]
    assert (tmp_path / "runs" / "train" / "trials").is_dir()
    study = open_study(Path("runs/train"))
    assert len(study.bit_fingerprints()[1]) == 16
    code, _, err = lastbit(*words, "--show", "--", "train.py")
    assert (code, err.startswith("lastbit: --show follows runs on this machine")) == (2, True)


@pytest.mark.parametrize(
    "words", [("study", *TINY), ("demo", "--scale", "smoke"), ("paper", "run", "table3", "--scale", "smoke")]
)
def test_an_unreachable_scheduler_is_all_that_is_reported(lastbit, tmp_path, monkeypatch, free_port, words):
    monkeypatch.setattr(scheduler_module, "TIMEOUT", 0.5)
    address = f"tcp://127.0.0.1:{free_port}"
    code, out, err = lastbit(*words, "--scheduler", address, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.startswith(f"lastbit: no scheduler answers at '{address}' within 0.5 s")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_workers_and_a_scheduler_are_not_given_together(lastbit):
    code, _, err = lastbit("study", *TINY, "--scheduler", "tcp://h:1", "--workers", 2)
    assert (code, err.startswith("lastbit: --workers and --scheduler: give one")) == (2, True)


def test_a_worker_without_the_data_set_is_named_with_the_command_to_fetch_it(lastbit, tmp_path, monkeypatch, scheduler):
    monkeypatch.setenv("LASTBIT_DATA", str(tmp_path / "data"))
    words = ("study", "resnet56-cifar10", "--scale", "smoke", "--scheduler", scheduler, "--out", tmp_path / "out")
    code, out, err = lastbit(*words)
    assert (code, out) == (2, "")
    assert err.startswith("lastbit: worker ")
    assert "run `lastbit data fetch cifar10`" in err
    assert not list((tmp_path / "out").glob("trials/*"))


def test_a_worker_that_does_not_see_the_directory_is_named(tmp_path, scheduler, monkeypatch):
    from lastbit.execution import cluster_dispatcher

    monkeypatch.setattr(cluster_dispatcher, "description_checksum", lambda runner: "of another machine's directory")
    study = make(tmp_path / "study")
    with module.cluster(scheduler) as executor, pytest.raises(ValueError, match=r"worker .* sees another directory as"):
        study.run(executor)
    monkeypatch.undo()

    def gone(runner):
        found = real(runner)
        shutil.rmtree(runner.root)
        return found

    real = cluster_dispatcher.description_checksum
    monkeypatch.setattr(cluster_dispatcher, "description_checksum", gone)
    with module.cluster(scheduler) as executor, pytest.raises(ValueError, match="does not see the study's directory"):
        make(tmp_path / "other").run(executor)


def train(run):
    run.log(1, test_accuracy=50.0)


def make(out):
    return lb.Study(out, train, noises=[lb.Scale(1)], seeds=[1], controlled=False)


def test_a_trial_for_a_gpu_needs_a_worker_that_has_one(lastbit, tmp_path, scheduler):
    words = ("study", *TINY, "--device", "cuda", "--scheduler", scheduler, "--out", tmp_path / "out")
    code, _, err = lastbit(*words)
    assert code == 2
    assert "no worker has a GPU to give" in err
    assert "lastbit worker ADDR --gpus N" in err
    code, _, err = lastbit(*words, "--device", "cuda:1")
    assert (code, "--device cuda:1: with --scheduler, allowed are auto, cpu and cuda" in err) == (2, True)


def test_a_worker_command_needs_a_scheduler(lastbit, monkeypatch, free_port):
    monkeypatch.setattr(scheduler_module, "TIMEOUT", 0.5)
    code, out, err = lastbit("worker", f"tcp://127.0.0.1:{free_port}", "--cpus", 1)
    assert (code, out) == (2, "")
    assert err.startswith("lastbit: no scheduler answers at ")
    assert lastbit("worker", f"tcp://127.0.0.1:{free_port}", "--cpus", 0)[0] == 2
