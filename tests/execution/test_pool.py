import os
import time

import pytest

from lastbit.execution.pool import WorkerDiedError, local_pool

pytestmark = pytest.mark.usefixtures("real_processes")


def test_gives_values_and_raises_what_the_call_raised():
    with local_pool(1) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError) as caught:
            pool.submit(divmod, 7, 0).result()
        assert "In the worker" in caught.value.__notes__[0]
        assert pool.submit(os.getpid).result() == pool.submit(os.getpid).result() != os.getpid()


def test_a_dead_worker_is_replaced():
    with local_pool(1) as pool:
        first = pool.submit(os.getpid).result()
        with pytest.raises(WorkerDiedError, match="exit code 3 \\(it left by itself"):
            pool.submit(os._exit, 3).result()
        assert pool.submit(os.getpid).result() != first


def interrupt(pool):
    futures.clear()
    futures.extend(pool.submit(time.sleep, 600) for _ in range(5))
    raise KeyboardInterrupt


futures: list = []


@pytest.mark.parametrize("warm", [False, True])
def test_an_exception_kills_work_in_progress(warm):
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), local_pool(2) as pool:  # noqa: PT012
        if warm:
            pool.submit(os.getpid).result()
        interrupt(pool)
    assert time.monotonic() - begin < 60
    assert all(future.cancelled() or isinstance(future.exception(), WorkerDiedError) for future in futures)


def test_workers_run_side_by_side():
    with local_pool(2) as pool:
        assert len({future.result() for future in [pool.submit(os.getpid), pool.submit(os.getpid)]}) == 2


def test_refuses_no_workers():
    with pytest.raises(ValueError, match="workers = 0: at least 1"), local_pool(0):
        pass
