"""The processes of trials in progress, and what they write while they run."""

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_GRACE = 5.0  # seconds a script has to save its work after Ctrl-C

_PAUSE = 0.1  # seconds between two looks
OnLine = Callable[[str], None]


class Children:
    """Child processes that are running; every call of `run` waits for the one it started."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._changing = threading.Lock()  # no process may start between the decision to stop and the stop

    def run(self, command: list[str], **options: Any) -> int:
        """Run a command to its end and return its exit code, negative for a signal.

        It is in another process group, so that Ctrl-C reaches it once, through `stop`, and not from the terminal too.

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
        """Whether `stop` was called, so that what ends now was stopped."""
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
    """Threads that wait for one child process at a time; leaving by an exception, Ctrl-C included, stops all."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def followed(files: Sequence[Path], on_line: OnLine) -> Iterator[None]:
    """During the block, pass on every line that is written to the files, and at its end the rest of them.

    Of a line that is redrawn with carriage returns, as a progress bar is, only the last state is passed on.

    Args:
        files: that exist; each is read from its beginning.
        on_line: called from one thread, without the line's end.
    """
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=([_File(path) for path in files], on_line, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _File:
    """A growing file, and how far it was read."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._begun = path, 0, b""

    def lines(self, *, last: bool) -> Iterator[str]:
        """The lines completed since the last call; with `last`, also one without an end."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *lines, self._begun = (self._begun + new).split(b"\n")
        yield from (_final(line) for line in lines)
        if last and self._begun:
            yield _final(self._begun)


def _follow(files: Sequence[_File], on_line: OnLine, over: threading.Event) -> None:
    ended = False
    while not ended:
        ended = over.wait(_PAUSE)
        for file in files:
            for line in file.lines(last=ended):
                on_line(line)


def _final(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
