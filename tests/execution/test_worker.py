import asyncio
from concurrent.futures import ThreadPoolExecutor

import dask
import pytest
import torch

from lastbit.execution.scheduler import check_versions, own_versions, shake_hands
from lastbit.execution.worker import _nanny, places, visible_gpus


def test_each_gpu_has_a_worker_that_sees_no_other():
    made = places("box", cpus=None, gpus=2, visible=["4", "5", "7"])
    assert [(each.name, each.environment["CUDA_VISIBLE_DEVICES"], each.resources) for each in made] == [
        ("box-0", "4", {"GPU": 1}),
        ("box-1", "5", {"GPU": 1}),
    ]
    assert len(places("box", cpus=None, gpus=None, visible=["0", "1", "2"])) == 3


def test_workers_without_a_gpu_have_one_thread_see_none_and_give_none():
    made = places("box", cpus=3, gpus=None, visible=["0"])
    assert [each.name for each in made] == ["box-0", "box-1", "box-2"]
    for each in made:
        assert each.resources == {}
        assert each.environment["CUDA_VISIBLE_DEVICES"] == ""
        assert {each.environment[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")} == {"1"}


def test_workers_keep_memory_as_their_c_library_does():
    """Dask's own setting, 65536, halves the speed of a training on a CPU."""
    place = places("box", cpus=1, gpus=None, visible=[])[0]

    async def started_with():
        return _nanny("tcp://127.0.0.1:1", place).env

    with ThreadPoolExecutor(1) as thread:  # for a browser may have left a loop running in this one
        environment = thread.submit(lambda: asyncio.run(started_with())).result()
    assert "MALLOC_TRIM_THRESHOLD_" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "MALLOC_TRIM_THRESHOLD_" in dask.config.get("distributed.nanny.pre-spawn-environ")  # of others, as it was


def test_without_a_gpu_each_core_has_a_worker(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    assert len(places("box", cpus=None, gpus=None, visible=[])) == 5


@pytest.mark.parametrize(
    ("cpus", "gpus", "complaint"),
    [
        (1, 1, "--cpus and --gpus: give one"),
        (0, None, "--cpus 0: at least 1"),
        (None, -1, "--gpus -1: at least 1"),
        (None, 3, r"--gpus 3: this machine has 2 CUDA device\(s\)"),
    ],
)
def test_refuses(cpus, gpus, complaint):
    with pytest.raises(ValueError, match=complaint):
        places("box", cpus=cpus, gpus=gpus, visible=["0", "1"])


def test_gpus_that_a_batch_system_chose_are_kept(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5a,GPU-7c")
    assert visible_gpus(2) == ["GPU-5a", "GPU-7c"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus(2) == ["0", "1"]


class Told:
    """A Dask client whose workers have the versions given."""

    def __init__(self, *workers):
        self.workers = workers

    def get_versions(self, packages):
        assert {"lastbit", "torch"} <= set(packages)
        told = [
            {"host": {"python": python}, "packages": {"lastbit": own, "torch": torch}}
            for python, own, torch in self.workers
        ]
        here = {"host": {"python": "3.11.7.final.0"}, "packages": {"lastbit": "1.0", "torch": "2.13"}}
        return {"client": here, "workers": {f"tcp://w{i}": each for i, each in enumerate(told)}}

    def scheduler_info(self, n_workers):
        assert n_workers == -1  # all
        return {"workers": {f"tcp://w{i}": {"name": f"box-{i}"} for i in range(len(self.workers))}}


SAME = ("3.11.7.final.0", "1.0", "2.13")


def test_workers_of_the_same_versions_are_taken():
    check_versions(Told(SAME, SAME))
    check_versions(Told())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (("3.11.7.final.0", "1.0", "2.12"), "torch is 2.13 here, and box-1 has 2.12: install one version of each"),
        (("3.12.1.final.0", "1.0", "2.13"), "python is 3.11.7 here, and box-1 has 3.12.1: "),
        (("3.11.7.final.0", None, "2.13"), "lastbit is 1.0 here, and box-1 has none: "),
        (("3.11.7.final.0", "0.9", "2.12"), "lastbit is 1.0 here, and box-1 has 0.9; torch is 2.13 here, and box-1"),
    ],
)
def test_other_versions_are_named_with_their_workers(other, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        check_versions(Told(SAME, other))


def test_many_workers_are_counted():
    with pytest.raises(ValueError, match=r"box-0, box-1, box-2 and 4 more have 2\.12"):
        check_versions(Told(*[("3.11.7.final.0", "1.0", "2.12")] * 7))


def test_a_worker_that_comes_later_says_what_it_has_other_versions_of():
    here = own_versions()
    assert here["torch"] == torch.__version__
    wanted = {**here, "torch": "1.0", "lastbit": None}
    complaint = shake_hands(None, "", wanted).complaint
    assert complaint == (
        f"has lastbit {here['lastbit']} for None, torch {here['torch']} for 1.0: install one version of each on all "
        "machines"
    )
