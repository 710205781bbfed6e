"""One progress bar for trials, for jobs and for steps, on standard error: drawn on a terminal, else in plain lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from lastbit.cli.output import SafeConsole, printable
from lastbit.storage.url_copies import is_url, local_copy

if TYPE_CHECKING:
    from lastbit.study import Outcome, Trial
    from lastbit.study.recorder import Underway

Show = Callable[..., None]  # called with any of `done`, `total`, `left` (seconds) and `remark`

LINES_EVERY = 60.0  # seconds between two plain lines
_ENDS_FASTER = 6  # how many times more often, where something has ended meanwhile
_TIMED_STEPS, _TIMED_SECONDS = 10, 5.0  # after which a training's cost is estimated, whichever comes first
_LOOK_EVERY = 1.0  # seconds between two looks at trials in progress


@contextmanager
def progress_bar(title: str, unit: str, total: int | None = None, *, transient: bool = False) -> Iterator[Show]:
    """Show progress while the block runs; give the function that moves it.

    Args:
        title: what is running.
        unit: what is counted, such as `trials`.
        total: how many there are, where that is known.
        transient: whether the bar goes when the block ends.
    """
    with _bar(title, unit, total, transient=transient) as bar:
        yield bar.show


@contextmanager
def _bar(title: str, unit: str, total: int | None, *, transient: bool = False) -> Iterator[_Drawn | _Lines]:
    terminal = SafeConsole(stderr=True)
    if not terminal.is_terminal:
        yield _Lines(title, unit, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit},"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        _Left(),
        TextColumn("left  {task.fields[remark]}", markup=False),
    )
    with Progress(*columns, console=terminal, transient=transient) as progress:
        yield _Drawn(progress, title, total)


class _Drawn:
    """A bar on a terminal."""

    def __init__(self, progress: Progress, title: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, ends=None, remark="")

    def show(self, *, done: float | None = None, left: float | None = None, **fields: Any) -> None:
        """Move the bar to `done`, with `left` seconds to go."""
        if left is not None:
            fields["ends"] = self._progress.get_time() + left
        self._progress.update(self._task, completed=done, **fields)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to a question while the block runs."""
        self._progress.stop()
        yield
        self._progress.start()


class _Lines:
    """Plain lines where there is no terminal: in CI, under SLURM, behind `tee`."""

    def __init__(self, title: str, unit: str, total: int | None) -> None:
        self._title, self._unit = title, unit
        self._now: dict[str, Any] = {"done": 0, "total": total, "left": None, "remark": ""}
        self._begun = self._last = time.monotonic()
        self._said = 0  # what was done when the last line was written

    def show(self, **changes: Any) -> None:
        """Note what changed, and write a line if the last one is old enough."""
        self._now |= {name: value for name, value in changes.items() if value is not None}
        waited = time.monotonic() - self._last
        ended = self._now["done"] != self._said and self._unit != "steps"
        if waited >= LINES_EVERY or (ended and waited >= LINES_EVERY / _ENDS_FASTER):
            self._last, self._said = time.monotonic(), self._now["done"]
            sys.stderr.write(printable(self._line()) + "\n")
            sys.stderr.flush()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Nothing to hide: lines never overwrite a question."""
        yield

    def _line(self) -> str:
        now, elapsed = self._now, time.monotonic() - self._begun
        counted = f"{now['done']:,}" + (f" of {now['total']:,}" if now["total"] is not None else "")
        left = f", about {_clock(now['left'])} left" if now["left"] is not None else ""
        remark = f", {now['remark']}" if now["remark"] else ""
        return f"{self._title}: {counted} {self._unit}, {_clock(elapsed)} elapsed{left}{remark}"


@contextmanager
def trial_progress(
    title: str,
    total: int,
    workers: Callable[[], int],
    look: Callable[[], Underway],
    seconds: float | None = None,
    on_estimate: Callable[[float], None] | None = None,
) -> Iterator[Callable[[Outcome[Trial]], None]]:
    """Show progress while a study runs; give the function to call after each trial.

    The time left is that of the mean trial so far, for each trial to come, shared by the workers there are.

    Args:
        title: what is running.
        total: number of trials to come.
        workers: how many run trials now.
        look: gives the progress of the running trials.
        seconds: of one trial, as estimated before the first has ended.
        on_estimate: called once, when the first has succeeded, with the seconds that those to come may take.
    """
    with _bar(title, "trials", total) as bar:
        ended: list[Outcome[Trial]] = []
        # Only here is a cluster asked for its workers: what it raises belongs to this thread.
        there, last = [workers()], [""]

        def show() -> float | None:
            """Estimate the rest from the mean so far, less what the running trials have done already."""
            now = look()
            # A failed trial does not show how long another takes.
            seconds_of_trials = [outcome.seconds for outcome in ended if outcome.error is None]
            mean = sum(seconds_of_trials) / len(seconds_of_trials) if seconds_of_trials else seconds
            rest = max(0.0, total - len(ended) - now.share)
            left = None if mean is None else rest * mean / max(1, there[0])
            remark = ", ".join(filter(None, (str(now), last[0])))
            bar.show(done=len(ended), left=left, remark=remark)
            return left

        def on_trial(outcome: Outcome[Trial]) -> None:
            """Count a finished trial."""
            ended.append(outcome)
            there[0], last[0] = workers(), f"last {outcome.trial.label}"
            left = show()
            first = outcome.error is None and sum(other.error is None for other in ended) == 1
            if first and left is not None and on_estimate is not None:
                with bar.hidden():
                    on_estimate(left)

        with _repeated(show):
            yield on_trial


@contextmanager
def _repeated(show: Callable[[], object]) -> Iterator[None]:
    """Call a function every second while the block runs."""
    over = threading.Event()

    def look() -> None:
        """Call it until the block is over."""
        while not over.wait(_LOOK_EVERY):
            show()

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


@contextmanager
def step_progress(title: str, total: int, on_estimate: Callable[[float], None]) -> Iterator[Callable[..., None]]:
    """Show progress while a training runs; give the function to call with each step, and a remark if there is one.

    Args:
        title: what is running.
        total: number of steps in all; a training that goes on where it stopped has some of them behind it.
        on_estimate: called once, after the first steps, with the seconds that those to come may take.
    """
    with _bar(title, "steps", total) as bar:
        begun: list[tuple[int, float]] = []
        estimated: list[float] = []

        def on_step(step: int, remark: str = "") -> None:
            """Move to a step and estimate the rest from the rate so far."""
            now = time.monotonic()
            begun[:] = begun[:1] or [(step, now)]
            first, since = begun[0]
            left = (total - step) * (now - since) / (step - first) if step > first else None
            bar.show(done=step, left=left, remark=remark)
            if left is not None and not estimated and (step - first >= _TIMED_STEPS or now - since >= _TIMED_SECONDS):
                estimated.append(left)
                with bar.hidden():
                    on_estimate(left)

        yield on_step


class _Left(ProgressColumn):
    """Time until the estimated end, which an estimate moves and the clock counts down."""

    def render(self, task: Task) -> Text:
        """Return the time left as h:mm:ss, or dashes where it is unknown."""
        ends = task.fields["ends"]
        return Text("-:--:--" if ends is None else _clock(max(0.0, ends - task.get_time())))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def opened(place: str, *, wanted: Sequence[str] = ("*",)) -> Iterator[Path]:
    """Give the directory to read: one here, or a copy of what is at a URL, with progress while files are copied.

    Args and errors are those of `lastbit.storage.url_copies.local_copy`.
    """
    with ExitStack() as stack:
        if not is_url(place):
            yield stack.enter_context(local_copy(place, wanted=wanted))
            return
        with progress_bar(f"copy {place}", "files", transient=True) as show:
            copying = local_copy(place, wanted=wanted, on_file=lambda done, total: show(done=done, total=total))
            directory = stack.enter_context(copying)
        yield directory
