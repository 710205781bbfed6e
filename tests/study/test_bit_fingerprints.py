"""A study over workers of different numerics, told apart by fake bit fingerprints and by real ones."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import toy_training
from test_cluster import local_cluster
from test_killed_study import wait_until
from test_study import make

from lastbit.execution.cluster import cluster
from lastbit.study import TrialFailedError
from lastbit.study.training import FunctionTraining

MACHINES = ("old-0", "new-0")


class ByName(FunctionTraining):
    """Has the first letters of the worker's name for bits; in this process, `here`."""

    def bit_fingerprint(self, control):
        from distributed import get_worker

        try:
            return str(get_worker().name).split("-")[0]
        except ValueError:
            return os.environ.get("FAKE_BITS", "here")


BY_NAME = ByName(toy_training.train)


@pytest.fixture
def machines():
    from distributed import Worker

    with local_cluster(workers=0) as running:
        made = [running.sync(_start, Worker, running.scheduler_address, name) for name in MACHINES]
        yield running.scheduler_address
        for worker in made:
            running.sync(worker.close)


async def _start(kind, address, name):
    return await kind(address, nthreads=1, name=name)


def bits_of(study):
    return {
        trial.seed: {
            study.store.load(t).bit_fingerprint for t in study.trials() if t.seed == trial.seed and study.store.has(t)
        }
        for trial in study.trials()
    }


def test_each_seed_runs_with_one_bit_fingerprint_and_each_of_these_has_its_controls(tmp_path, machines):
    study, said = make(tmp_path, seeds=range(1, 7), train=BY_NAME), []
    with cluster(machines) as executor:
        results = study.run(executor, on_remark=said.append)
    found = bits_of(study)
    assert {len(each) for each in found.values()} == {1}
    assert {bits for each in found.values() for bits in each} == {"old", "new"}
    assert said[0].startswith("workers of different bit fingerprints, which share no seed: ")
    assert "old: old-0" in said[0]
    assert "new: new-0" in said[0]
    assert results.controls.agree == {"repeat": True, "power_of_two": True}
    groups = results.as_json()["numerics"]
    assert sorted(seed for group in groups for seed in group["seeds"]) == [1, 2, 3, 4, 5, 6]
    for group in groups:
        assert all(found[seed] == {group["bit_fingerprint"]} for seed in group["seeds"])
        assert all(
            study.store.has(trial) for pair in study.control_trials(group["seeds"][0]).values() for trial in pair
        )
    assert "the spread over seeds includes that change" in results.verdict


def test_a_seed_that_was_begun_goes_on_where_its_bits_are_given_or_not_at_all(tmp_path, machines, monkeypatch):
    monkeypatch.setenv("FAKE_BITS", "new")
    assert make(tmp_path / "one", noises=make(tmp_path / "one").noises[:2], seeds=(1,), train=BY_NAME).run() is not None
    with cluster(machines) as executor:
        make(tmp_path / "one", train=BY_NAME).run(executor)
    assert bits_of(make(tmp_path / "one", seeds=(1,))) == {1: {"new"}}

    monkeypatch.setenv("FAKE_BITS", "ancient")
    make(tmp_path / "other", noises=make(tmp_path / "other").noises[:2], seeds=(1,), train=BY_NAME).run()
    refused = r"seed 1 was begun with bit fingerprint ancient, and no worker has it \(there is .*old: old-0"
    with cluster(machines) as executor, pytest.raises(ValueError, match=refused):
        make(tmp_path / "other", train=BY_NAME).run(executor)
    monkeypatch.setenv("FAKE_BITS", "modern")
    with pytest.raises(
        ValueError, match=r"begun with bit fingerprint ancient, and no worker .* \(there is modern: here\)"
    ):
        make(tmp_path / "other", train=BY_NAME).run()


class ByThread(FunctionTraining):
    """Has the name of its thread for bits."""

    def bit_fingerprint(self, control):
        BOTH.wait(60)  # so that each of two workers has a trial
        return threading.current_thread().name


BY_THREAD = ByThread(toy_training.train)
BOTH = threading.Barrier(2)


def test_a_worker_of_other_bits_refuses_its_trial_where_nobody_chooses(tmp_path):
    """What comes of an executor that does not tell its workers apart."""
    study = make(tmp_path, noises=make(tmp_path).noises[:2], seeds=(1,), controlled=False, train=BY_THREAD)
    with ThreadPoolExecutor(2) as pool, pytest.raises(TrialFailedError, match="seed 1 was begun with bit fingerprint"):
        study.run(pool)
    assert len(study.pending()) == 1
    assert len(bits_of(study)[1]) == 1


WORKER = """
import sys
sys.path.insert(0, {tests!r})
from lastbit.execution.worker import WorkerPlace, serve_workers
if __name__ == "__main__":
    serve_workers({address!r}, [WorkerPlace({name!r}, None)], lambda: None)
"""


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="this processor has one kind of kernel"
)
def test_processes_that_give_other_bits_are_told_apart(tmp_path):
    """One worker with torch's oldest kernels and one with this processor's, started as `lastbit worker` does."""
    tests = str(Path(__file__).parent)
    with local_cluster(workers=0) as running:
        started = []
        for name, capability in (("plain", None), ("oldest", "default")):
            program = tmp_path / f"{name}.py"
            program.write_text(WORKER.format(tests=tests, address=running.scheduler_address, name=name))
            environment = {**os.environ, **({"ATEN_CPU_CAPABILITY": capability} if capability else {})}
            started.append(subprocess.Popen([sys.executable, program], env=environment))
        try:
            with cluster(running.scheduler_address) as executor:
                wait_until(lambda: len(executor.workers()) == 2)
                study = make(tmp_path / "study", toy_training.train_wide, seeds=range(1, 5))
                study.run(executor)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(30)
    found = bits_of(study)
    assert {len(each) for each in found.values()} == {1}
    assert len({bits for each in found.values() for bits in each}) == 2
    here = make(tmp_path / "here", toy_training.train_wide, seeds=range(1, 5))
    here.run()
    same = [here.store.load(trial).digest == study.store.load(trial).digest for trial in here.trials()]
    by_bits = {bits for trial, equal in zip(here.trials(), same, strict=True) if equal for bits in found[trial.seed]}
    assert by_bits == {here.bit_fingerprints()[1]}, "equal fingerprints give equal bits, others give others"
