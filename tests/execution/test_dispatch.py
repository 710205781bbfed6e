import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lastbit.execution.dispatch import Watched
from lastbit.noise import Scale
from lastbit.study.trial import Trial


def test_counts_jobs_given_and_done():
    seen = []
    with ThreadPoolExecutor(1) as pool:
        watched = Watched(pool, lambda done, given: seen.append((done, given)))
        assert [watched.submit(pow, 2, n).result() for n in range(3)] == [1, 2, 4]
    assert seen[-1] == (3, 3)
    assert all(0 <= done <= given for done, given in seen)


def test_stopping_drops_what_waits_names_what_runs_and_takes_no_more():
    go_on, begun = threading.Event(), threading.Event()

    def job(trial):
        begun.set()
        return go_on.wait(60)

    with ThreadPoolExecutor(1) as pool:
        watched = Watched(pool)
        first, second = (watched.submit(job, Trial({}, seed, Scale(3))) for seed in (1, 2))
        begun.wait(60)
        assert watched.stop() == ["seed 1, k=3"]
        assert second.cancelled()
        late = watched.submit(job, Trial({}, 3, Scale(3)))
        assert late.cancelled()
        go_on.set()
        assert first.result() is True
        assert watched.stop() == []


def test_an_executor_that_does_not_know_its_workers_cannot_choose_among_them():
    with ThreadPoolExecutor(1) as pool, pytest.raises(TypeError, match="ThreadPoolExecutor does not tell"):
        Watched(pool).submit_to(lambda worker: True, print)
