"""One progress bar for trials, for jobs and for steps: on standard error, on a terminal only."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from lastbit.cli.printable import SafeConsole
from lastbit.study import Outcome

Show = Callable[..., None]  # called with any of `done`, `total`, `left` (seconds) and `remark`


@contextmanager
def progress_bar(title: str, unit: str, total: int | None = None, *, transient: bool = False) -> Iterator[Show]:
    """Show a bar while the block runs; give the function that moves it.

    Args:
        title: what is running.
        unit: what is counted, such as `trials`.
        total: how many there are, where that is known.
        transient: whether the bar goes when the block ends.
    """
    terminal = SafeConsole(stderr=True)
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
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=transient) as progress:
        task = progress.add_task(title, total=total, ends=None, remark="")

        def show(*, done: int | None = None, left: float | None = None, **fields: Any) -> None:
            """Move the bar to `done` with `left` seconds to go."""
            if left is not None:
                fields["ends"] = progress.get_time() + left
            progress.update(task, completed=done, **fields)

        yield show


@contextmanager
def trial_progress(title: str, total: int, workers: Callable[[], int]) -> Iterator[Callable[[Outcome], None]]:
    """Show a bar while a study runs; give the function to call after each trial.

    The time left is that of the mean trial so far, for each trial to come, shared by the workers there are.

    Args:
        title: what is running.
        total: number of trials to come.
        workers: how many run trials now.
    """
    with progress_bar(title, "trials", total) as show:
        seconds: list[float] = []

        def on_trial(outcome: Outcome) -> None:
            """Count a finished trial and foretell the rest from the mean so far."""
            seconds.append(outcome.seconds)
            left = max(0, total - len(seconds)) * sum(seconds) / len(seconds) / max(1, workers())
            show(done=len(seconds), left=left, remark=outcome.trial.label)

        yield on_trial


@contextmanager
def step_progress(title: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a bar while a training runs; give the function to call with each step, and a remark if there is one.

    Args:
        title: what is running.
        total: number of steps in all; a training that goes on where it stopped has some of them behind it.
    """
    with progress_bar(title, "steps", total) as show:
        begun: list[tuple[int, float]] = []

        def on_step(step: int, remark: str = "") -> None:
            """Move the bar to a step and foretell the rest from the rate so far."""
            now = time.monotonic()
            begun[:] = begun[:1] or [(step, now)]
            first, since = begun[0]
            left = (total - step) * (now - since) / (step - first) if step > first else None
            show(done=step, left=left, remark=remark)

        yield on_step


class _Left(ProgressColumn):
    """Time until the estimated end, which an estimate moves and the clock counts down."""

    def render(self, task: Task) -> Text:
        """Return the time left as h:mm:ss, or dashes where it is unknown."""
        ends = task.fields["ends"]
        if ends is None:
            return Text("-:--:--")
        minutes, seconds = divmod(round(max(0.0, ends - task.get_time())), 60)
        return Text(f"{minutes // 60}:{minutes % 60:02}:{seconds:02}")
