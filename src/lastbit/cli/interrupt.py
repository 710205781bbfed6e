"""Ctrl-C while jobs run: once lets those in progress end and begins no more, twice stops at once."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lastbit.cli.output import StoppedCommandError
from lastbit.execution.watched import Watched
from lastbit.study import StoppedError

_NAMED = 3  # jobs in progress that are named; of more, their number


@contextmanager
def gentle_interrupts(jobs: Watched) -> Iterator[None]:
    """Let Ctrl-C stop `jobs` gently while the block runs, and a second one raise KeyboardInterrupt in it.

    Raises:
        StoppedCommandError: the block raised StoppedError, as a study that is stopped does.
    """
    asked, over = threading.Event(), threading.Event()
    listener = threading.Thread(target=_stop_when_asked, args=(jobs, asked, over), daemon=True)

    def interrupted(number: int, frame: FrameType | None) -> None:
        """Note the first Ctrl-C and raise KeyboardInterrupt at the second."""
        # Nothing but this may be done here, in the midst of whatever the main thread does, with its locks.
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, interrupted)
    listener.start()
    try:
        yield
    except StoppedError as error:
        raise StoppedCommandError(f"{error}; the same command goes on") from error
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        asked.set()  # which ends the listener
        listener.join()


def _stop_when_asked(jobs: Watched, asked: threading.Event, over: threading.Event) -> None:
    asked.wait()
    if not over.is_set():
        # Through sys.stderr, which a progress bar stands in for while it is drawn.
        below = "\n" if sys.stderr.isatty() else ""  # the ^C that a terminal shows
        running = _named(jobs.stop())
        sys.stderr.write(f"{below}finishing {running}; nothing more is begun, Ctrl-C again stops now\n")


def _named(running: list[str]) -> str:
    if len(running) > _NAMED:
        return f"the {len(running)} jobs in progress"
    return " and ".join(running) if running else "what is in progress"
