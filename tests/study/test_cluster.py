import os
import socket
import sys

import pytest

from lastbit.study import cluster as module
from lastbit.study.cluster import cluster


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"a scheduler needs dask\.distributed: pip install 'lastbit\[cluster\]'"):
        cluster("tcp://127.0.0.1:8786").__enter__()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nonsense://127.0.0.1:{port}"])
def test_an_address_where_no_scheduler_answers_is_refused(monkeypatch, address):
    monkeypatch.setattr(module, "_TIMEOUT", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ValueError, match=f"no scheduler answers at '{address.format(port=port)}' within 1 s: "):
        cluster(address.format(port=port)).__enter__()


def test_jobs_run_on_the_workers_of_a_scheduler_each_as_often_as_it_is_given():
    from distributed import LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(protocol="tcp", **options) as running, cluster(running.scheduler_address) as executor:
        assert executor.submit(pow, 2, 5).result() == 32
        # A pure function's second call would be answered from memory.
        assert executor.submit(os.urandom, 8).result() != executor.submit(os.urandom, 8).result()
