"""The processes of trials in progress, which end together when the study is stopped."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

_GRACE = 5.0  # seconds a script has to save its work after Ctrl-C


class Children:
    """Child processes that are running; each call of `run` waits for its own."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._changing = threading.Lock()  # no process may start between the decision to stop and the stop

    def run(self, command: list[str], **options: Any) -> int:
        """Run a command to its end and return its exit code, negative for a signal.

        It gets a process group of its own, so that Ctrl-C reaches it once, through `stop`, and not from the terminal
        as well.

        Raises:
            RuntimeError: after `stop`.
        """
        with self._changing:
            if self._stopped:
                raise RuntimeError("the study was stopped")
            process = subprocess.Popen(command, process_group=0, **options)
            self._running.add(process)
        try:
            return process.wait()
        finally:
            self._running.discard(process)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called: what ends now was ended."""
        return self._stopped

    def stop(self) -> None:
        """Interrupt every process as Ctrl-C would, and kill those that have not ended a few seconds later."""
        with self._changing:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def thread_pool(workers: int, children: Children) -> Iterator[ThreadPoolExecutor]:
    """Threads that each wait for one child process at a time; leaving by an exception, Ctrl-C included, stops all."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
