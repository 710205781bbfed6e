"""Worker processes on this machine, as a `concurrent.futures.Executor`.

The standard library's process pool breaks as a whole when one worker dies and cannot be stopped while it works. Here a
worker that dies takes only its own trial along and is replaced, and leaving by an exception stops all work at once.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import current_process, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.resource_tracker import ensure_running
from queue import SimpleQueue
from typing import Any

from lastbit.errors import LastbitError
from lastbit.execution.jobs import WorkerDiedError

# Fresh processes: a forked one would inherit torch's thread pools in an undefined state.
_SPAWN = get_context("spawn")

# A worker imports the script that began it. Where that would begin the same work again, the worker ends with this.
_UNGUARDED = 87
_GUARD = 'each worker imports this script and would start the work again: call it under `if __name__ == "__main__":`'


def end_unless_guarded() -> None:
    """End the process if it is a worker that is just importing the script that began it.

    Raises:
        SystemExit: it is; the pool that began it says what is missing in the script.
    """
    if getattr(current_process(), "_inheriting", False):  # the standard library knows it by this too
        raise SystemExit(_UNGUARDED)


@contextmanager
def local_pool(workers: int) -> Iterator["LocalPool"]:
    """Give a pool of `workers` processes; leaving by an exception, Ctrl-C included, kills what they are doing.

    Raises:
        LastbitError: fewer than one worker.
    """
    if workers < 1:
        raise LastbitError(f"workers = {workers}: at least 1 is needed")
    pool = LocalPool(workers)
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class LocalPool(Executor):
    """Processes that each run one call at a time, started when first needed and again after they died."""

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker() for _ in range(workers)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn(*args, **kwargs)` on the next free worker; all of it must be picklable.

        The future raises what the call raised, or `WorkerDiedError`.
        """
        return self._threads.submit(self._call, partial(fn, *args, **kwargs))

    def kill(self) -> None:
        """Stop every worker at once; calls in progress raise `WorkerDiedError`, others are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers end once their work is done."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for worker in self._workers:
            worker.close()

    def _call(self, job: partial[Any]) -> Any:
        worker = self._idle.get()
        try:
            return worker.run(job)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None
        self._killed = False
        self._changing = threading.Lock()  # a kill must not fall between the decision to start and the start

    def run(self, job: partial[Any]) -> Any:
        """Run a job in the worker's process and return its value, or raise what it raised.

        Raises:
            WorkerDiedError: the process ended before it answered.
        """
        pipe = self._started()
        try:
            pipe.send(job)
            succeeded, value = pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            self.close()
            if code == _UNGUARDED:
                raise WorkerDiedError(_GUARD) from None
            raise WorkerDiedError(f"its worker process ended with exit code {code} ({_reason(code)})") from None
        if succeeded:
            return value
        raise value

    def kill(self) -> None:
        """End the process at once, and start none again."""
        with self._changing:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Let the process end, and wait for it."""
        if self._pipe is not None:
            self._pipe.close()  # the process reads the end of its pipe and ends
            self._process.join()
        self._process = self._pipe = None

    def _started(self) -> Connection:
        with self._changing:
            if self._killed:
                raise WorkerDiedError("the pool was stopped")
            if self._pipe is None:
                self._pipe, theirs = _SPAWN.Pipe()
                self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
                with _ctrl_c_held_back():
                    self._process.start()
                theirs.close()
            return self._pipe


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}, perhaps for lack of memory" if code < 0 else "it left by itself"


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let a process begin with Ctrl-C blocked: it would else end it with a traceback while torch is imported there."""
    ensure_running()  # which, when it has to begin Python's tracker, ends with Ctrl-C not blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection) -> None:
    # A terminal sends Ctrl-C to every process; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(job))


def _answer(job: partial[Any]) -> tuple[bool, Any]:
    try:
        return True, job()
    except Exception as error:
        error.add_note("In the worker:\n" + traceback.format_exc())
        return False, error


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        # The parent was killed: an orphan must not go on writing into a study that may be started again.
        os._exit(1)
