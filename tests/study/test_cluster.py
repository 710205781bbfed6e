import multiprocessing
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest
import toy_training
from test_killed_study import wait_until
from test_study import contents, make

from lastbit.execution import scheduler
from lastbit.execution.cluster import cluster
from lastbit.execution.dispatch import Watched
from lastbit.execution.jobs import LostWorkersError, StoppedError, WorkerDiedError
from lastbit.execution.worker import WorkerPlace, serve_workers
from lastbit.machine import how_to_install


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=re.escape(f"a scheduler needs dask.distributed: {how_to_install('cluster')}")):
        cluster("tcp://127.0.0.1:8786").__enter__()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nonsense://127.0.0.1:{port}"])
def test_an_address_where_no_scheduler_answers_is_refused(monkeypatch, address):
    monkeypatch.setattr(scheduler, "TIMEOUT", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    expected = f"no scheduler answers at '{address.format(port=port)}' within 1 s .*: check that `dask scheduler` runs"
    with pytest.raises(ValueError, match=expected):
        cluster(address.format(port=port)).__enter__()


@contextmanager
def local_cluster(workers=1, **options):
    from distributed import LocalCluster

    options = {"processes": False, "dashboard_address": ":0", "protocol": "tcp", **options}
    with LocalCluster(n_workers=workers, threads_per_worker=1, **options) as running:
        yield running


def test_jobs_run_on_the_workers_of_a_scheduler_each_as_often_as_it_is_given():
    with local_cluster() as running, cluster(running.scheduler_address) as executor:
        assert executor.submit(pow, 2, 5).result() == 32
        # A pure function's second call would be answered from memory.
        assert executor.submit(os.urandom, 8).result() != executor.submit(os.urandom, 8).result()
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result()


def test_a_worker_has_one_job_at_a_time_and_those_that_wait_can_be_cancelled():
    with local_cluster() as running, cluster(running.scheduler_address) as executor:
        first = executor.submit(time.sleep, 0.5)
        others = [executor.submit(pow, 2, n) for n in range(3)]
        assert first.running()
        assert not first.cancel()
        assert others[0].cancel()
        assert others[2].result() == 4
        assert others[1].done()
        with pytest.raises(CancelledError):
            others[0].result()


def test_jobs_for_some_workers_go_before_others_and_to_none_else():
    with local_cluster() as running, cluster(running.scheduler_address) as executor:
        executor.submit(time.sleep, 0.3)
        order = []
        plain = executor.submit(pow, 2, 1)
        meant = executor.submit_to(lambda worker: worker.address == executor.workers()[0].address, pow, 2, 2)
        nobodys = executor.submit_to(lambda worker: False, pow, 2, 3)
        for name, future in (("plain", plain), ("meant", meant)):
            future.add_done_callback(lambda _, name=name: order.append(name))
        assert (plain.result(), meant.result()) == (2, 4)
        assert order == ["meant", "plain"]
        assert not nobodys.done()


def test_a_study_on_a_cluster_gives_the_bytes_of_this_process(tmp_path):
    make(tmp_path / "here").run()
    with local_cluster() as running, cluster(running.scheduler_address) as executor:
        make(tmp_path / "there").run(executor)
    assert contents(tmp_path / "here") == contents(tmp_path / "there") != {}


class Begun:
    """Stops its executor when the third trial has ended."""

    def __init__(self):
        self.labels = []

    def __call__(self, outcome):
        self.labels.append(outcome.trial.label)
        if len(self.labels) == 3:
            self.stopped = self.jobs.stop()


def test_a_stopped_study_keeps_what_had_begun_and_goes_on(tmp_path):
    with local_cluster() as running, cluster(running.scheduler_address) as executor:
        begun = Begun()
        begun.jobs = Watched(executor)
        with pytest.raises(StoppedError):
            make(tmp_path / "study").run(begun.jobs, on_trial=begun)
        stored = 8 - len(make(tmp_path / "study").pending())
        assert stored == len(begun.labels) in (3, 4)  # the one that ran when the third had ended, among them
        make(tmp_path / "study").run(executor)
    make(tmp_path / "whole").run()
    assert contents(tmp_path / "study") == contents(tmp_path / "whole")


def test_a_job_whose_worker_goes_away_is_given_to_another_once():
    """Each worker is left by the job that it runs; what it did for it was in vain."""
    with local_cluster(workers=4) as running, cluster(running.scheduler_address) as executor:
        workers = list(running.workers.values())
        deadly = executor.submit(time.sleep, 3)
        for _ in range(2):
            wait_until(lambda: any(worker.state.executing_count for worker in workers))
            busy = next(worker for worker in workers if worker.state.executing_count)
            workers.remove(busy)
            running.loop.add_callback(busy.close, executor_wait=False, nanny=False)
        with pytest.raises(WorkerDiedError, match=r"the worker tcp://\S+ went away while it worked, and so did"):
            deadly.result(60)
        assert executor.submit(pow, 2, 5).result(60) == 32


SCHEDULER = """
import sys, time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=int(sys.argv[1]), processes=False, protocol="tcp", dashboard_address=":0") as running:
        print(running.scheduler_address, flush=True)
        time.sleep(600)
"""


@pytest.mark.filterwarnings("ignore")  # of a connection that breaks
def test_a_scheduler_that_is_killed_is_reported_in_one_line(tmp_path):
    with subprocess.Popen([sys.executable, "-c", SCHEDULER, "1"], stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        with cluster(address) as executor:
            waiting = [executor.submit(time.sleep, 30) for _ in range(3)]
            process.kill()
            for future in waiting:
                with pytest.raises(LostWorkersError, match=f"the scheduler at {address} went away"):
                    future.result(60)
            with pytest.raises(LostWorkersError):
                make(tmp_path, toy_training.train).run(executor)


@pytest.mark.filterwarnings("ignore")  # of a connection that breaks
def test_a_scheduler_that_is_killed_while_a_study_waits_for_workers_ends_the_study(monkeypatch, tmp_path):
    monkeypatch.setattr(scheduler, "TIMEOUT", 1)  # which is also how long a client tries to come back
    with subprocess.Popen([sys.executable, "-c", SCHEDULER, "0"], stdout=subprocess.PIPE, text=True) as process:
        with cluster(process.stdout.readline().strip()) as executor:
            remarks, looks = [], []
            monkeypatch.setattr(executor, "workers", lambda find=executor.workers: looks.append(1) or find())
            killed = threading.Timer(2.0, process.kill)
            killed.start()
            with pytest.raises(LostWorkersError, match="went away"):
                make(tmp_path, toy_training.train).complete(executor, on_remark=remarks.append)
            killed.join()
        assert remarks == ["the scheduler has no workers yet: waiting for some, as `lastbit worker` starts them"]
        assert len(looks) < 100  # it slept between them


def _wait_and_tell(path):
    path.write_text(str(os.getpid()))
    time.sleep(60)


def _stop_now(address, told, waiting):
    with cluster(address) as executor:
        waiting += [executor.submit(_wait_and_tell, told) for _ in range(2)]
        wait_until(told.exists)
        raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore")  # of a worker that is stopped
def test_stopping_now_ends_what_a_nannys_worker_does_and_leaves_a_fresh_one(tmp_path):
    told = tmp_path / "pid"
    with local_cluster(workers=0) as running:
        ours = [running.scheduler_address, [WorkerPlace("box-0", None)], told.with_suffix(".begun").touch]
        process = multiprocessing.get_context("spawn").Process(target=serve_workers, args=ours)
        process.start()
        try:
            wait_until(told.with_suffix(".begun").exists)
            waiting = []
            with pytest.raises(KeyboardInterrupt):
                _stop_now(running.scheduler_address, told, waiting)
            with pytest.raises(WorkerDiedError, match="was stopped"):
                waiting[0].result(0)
            assert waiting[1].cancelled()
            with cluster(running.scheduler_address) as executor:
                assert executor.submit(os.getpid).result(60) != int(told.read_text())
        finally:
            process.terminate()
            process.join(30)
