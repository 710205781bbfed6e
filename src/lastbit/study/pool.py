"""Worker processes on this machine."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait


@contextmanager
def local_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of `workers` fresh processes; leaving by an exception, Ctrl-C included, stops them at once.

    Raises:
        ValueError: fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"workers = {workers}: at least 1 is needed")
    # Fresh processes: a forked one would inherit torch's thread pools in an undefined state.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # A terminal sends Ctrl-C to every process; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        # The parent was killed: an orphan must not go on writing into a study that may be started again.
        os._exit(1)
