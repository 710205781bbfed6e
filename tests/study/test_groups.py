"""A study over workers of different arithmetic, told apart by fake proofs and by real ones."""

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

MACHINES = ("old-0", "new-0")


def prove_by_name(train, control):
    """By the first letters of the worker's name; of this process, `here`."""
    from distributed import get_worker

    try:
        return str(get_worker().name).split("-")[0]
    except ValueError:
        return os.environ.get("FAKE_PROOF", "here")


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


def proofs_of(study):
    return {
        trial.seed: {study.store.load(t).proof for t in study.trials() if t.seed == trial.seed and study.store.has(t)}
        for trial in study.trials()
    }


def test_each_seed_runs_on_one_arithmetic_and_each_arithmetic_has_its_controls(tmp_path, machines):
    study, said = make(tmp_path, seeds=range(1, 7), prove=prove_by_name), []
    with cluster(machines) as executor:
        results = study.run(executor, on_remark=said.append)
    found = proofs_of(study)
    assert {len(proofs) for proofs in found.values()} == {1}
    assert {proof for proofs in found.values() for proof in proofs} == {"old", "new"}
    assert said[0].startswith("workers of different arithmetic, each with whole seeds of its own: ")
    assert "old: old-0" in said[0]
    assert "new: new-0" in said[0]
    assert results.controls.agree == {"repeat": True, "power_of_two": True}
    groups = results.as_json()["arithmetic"]
    assert sorted(seed for group in groups for seed in group["seeds"]) == [1, 2, 3, 4, 5, 6]
    for group in groups:
        assert all(found[seed] == {group["proof"]} for seed in group["seeds"])
        assert all(
            study.store.has(trial) for pair in study.control_trials(group["seeds"][0]).values() for trial in pair
        )
    assert "the spread over seeds includes that change" in results.verdict


def test_a_seed_that_was_begun_goes_on_where_its_bits_are_given_or_not_at_all(tmp_path, machines, monkeypatch):
    monkeypatch.setenv("FAKE_PROOF", "new")
    assert (
        make(tmp_path / "one", noises=make(tmp_path / "one").noises[:2], seeds=(1,), prove=prove_by_name).run()
        is not None
    )
    with cluster(machines) as executor:
        make(tmp_path / "one", prove=prove_by_name).run(executor)
    assert proofs_of(make(tmp_path / "one", seeds=(1,))) == {1: {"new"}}

    monkeypatch.setenv("FAKE_PROOF", "ancient")
    make(tmp_path / "other", noises=make(tmp_path / "other").noises[:2], seeds=(1,), prove=prove_by_name).run()
    refused = r"seed 1 was begun on arithmetic ancient, and no worker gives its bits \(there is .*old: old-0"
    with cluster(machines) as executor, pytest.raises(ValueError, match=refused):
        make(tmp_path / "other", prove=prove_by_name).run(executor)
    monkeypatch.setenv("FAKE_PROOF", "modern")
    with pytest.raises(ValueError, match=r"begun on arithmetic ancient, and no worker .* \(there is modern: here\)"):
        make(tmp_path / "other", prove=prove_by_name).run()


def prove_by_thread(train, control):
    BOTH.wait(60)  # so that each of two workers has a trial
    return threading.current_thread().name


BOTH = threading.Barrier(2)


def test_a_worker_of_another_arithmetic_refuses_its_trial_where_nobody_chooses(tmp_path):
    """What comes of an executor that does not tell its workers apart."""
    study = make(tmp_path, noises=make(tmp_path).noises[:2], seeds=(1,), controlled=False, prove=prove_by_thread)
    with ThreadPoolExecutor(2) as pool, pytest.raises(TrialFailedError, match="seed 1 was begun on arithmetic"):
        study.run(pool)
    assert len(study.pending()) == 1
    assert len(proofs_of(study)[1]) == 1


WORKER = """
import sys
sys.path.insert(0, {tests!r})
from lastbit.execution.cluster_workers import Place, serve
if __name__ == "__main__":
    serve({address!r}, [Place({name!r}, None)], lambda: None)
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
    found = proofs_of(study)
    assert {len(proofs) for proofs in found.values()} == {1}
    assert len({proof for proofs in found.values() for proof in proofs}) == 2
    here = make(tmp_path / "here", toy_training.train_wide, seeds=range(1, 5))
    here.run()
    same = [here.store.load(trial).digest == study.store.load(trial).digest for trial in here.trials()]
    by_proof = {proof for trial, equal in zip(here.trials(), same, strict=True) if equal for proof in found[trial.seed]}
    assert by_proof == {here.proofs()[1]}, "equal proofs give equal bits, others give others"
