"""Progress bars over the trials of a study and over the steps of a training, on a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lastbit.study import Outcome


@contextmanager
def trial_progress(title: str, total: int) -> Iterator[Callable[[Outcome], None]]:
    """Show a bar on standard error while the block runs; give the function to call after each trial.

    Args:
        title: what is running.
        total: number of trials to come.
    """
    terminal = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trials, "),
        TimeElapsedColumn(),
        TextColumn("elapsed, "),
        TimeRemainingColumn(),
        TextColumn("left  {task.fields[last]}"),
    )
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as progress:
        task = progress.add_task(title, total=total, last="")
        yield lambda outcome: progress.update(task, advance=1, last=outcome.trial.label)


@contextmanager
def step_progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on standard error while the block runs; give the function to call with each step and a remark.

    Args:
        title: what is running.
        total: number of steps in all.
    """
    terminal = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, "),
        TimeRemainingColumn(),
        TextColumn("left  {task.fields[remark]}"),
    )
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as progress:
        task = progress.add_task(title, total=total, remark="")
        yield lambda step, remark: progress.update(task, completed=step, remark=remark)
