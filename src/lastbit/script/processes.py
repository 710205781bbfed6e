"""The processes of trials: how they are run, stopped and followed while they write."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lastbit.script.joining import end_members

STDOUT, STDERR = "stdout.txt", "stderr.txt"  # of a trial, in its directory of output

_GRACE = 5.0  # seconds a script has to save its work after Ctrl-C

_PAUSE = 0.1  # seconds between two looks
OnLine = Callable[[str], None]


class Children:
    """Child processes that are running; every call of `run` waits for the one it started, and for those it left.

    A child may start processes of its own, and then a trial takes several cores: `cores` has as many as may be used.
    """

    def __init__(self, cores: "Cores | None" = None) -> None:
        self.cores = Cores() if cores is None else cores
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._changing = threading.Lock()  # no process may start between the decision to stop and the stop

    def run(self, command: list[str], directory: Path, **options: Any) -> int:
        """Run a command to its end and return its exit code, negative for a signal.

        It is in another process group, so that Ctrl-C reaches it once, through `stop`, and not from the terminal too.

        Args:
            command: its words.
            directory: where the processes register that it starts (`lastbit.script.joining`).
            options: of `subprocess.Popen`.

        Raises:
            RuntimeError: after `stop`.
        """
        with self._changing:
            if self._stopped:
                raise RuntimeError("the study was stopped")
            process = subprocess.Popen(command, process_group=0, **options)
            self._running.add(process)
        code = None
        try:
            code = process.wait()
            return code
        finally:
            self._running.discard(process)
            # What a launcher leaves behind when it ends well may be about to end: a rank that writes its last file.
            end_members(directory, _GRACE if code == 0 and not self._stopped else 0.0)
            _signal_group(process, signal.SIGKILL)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, so that what ends now was stopped."""
        return self._stopped

    def stop(self) -> None:
        """Interrupt every process as Ctrl-C would, and kill those that have not ended a few seconds later."""
        with self._changing:
            self._stopped = True
            running = list(self._running)
        self.cores.open()
        for process in running:
            _signal_group(process, signal.SIGINT)
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a child and to what it started, as far as that stayed in its process group."""
    with suppress(ProcessLookupError, PermissionError):  # all have ended
        os.killpg(process.pid, number)


class Cores:
    """Cores that trials share, each taking as many as it has processes.

    Args:
        total: their number; None for no limit.
        processes: of a trial, where that is known beforehand; else the first trial that ends shows it.
    """

    def __init__(self, total: int | None = None, processes: int | None = None) -> None:
        self.total, self.processes = total, processes
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait until a trial's cores are free, and hold them while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: self.total is None or self._taken + self._wanted <= self.total)
            wanted = self._wanted
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()

    @property
    def _wanted(self) -> int:
        """Never more than there are: a trial with more processes than cores runs alone."""
        return min(self.processes or 1, self.total or 1)

    @property
    def side_by_side(self) -> int | None:
        """How many trials run at a time; None without a limit."""
        return None if self.total is None else max(1, self.total // (self.processes or 1))

    def open(self) -> None:
        """Let all that wait go on."""
        with self._changed:
            self.total = None
            self._changed.notify_all()


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
