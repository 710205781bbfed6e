"""How long a command will take: it says so before it begins, and on a terminal asks first if that is over an hour."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from lastbit.cli.output import SafeConsole, StoppedCommandError
from lastbit.cli.workers import Executors

if TYPE_CHECKING:
    from lastbit.study import Study
    from lastbit.training.loop import Stepper
    from lastbit.training.recipe_training import RecipeTraining
    from lastbit.training.task import Epochs


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Begin what takes above an hour without a question.")]

_NOT_BEGUN = "not begun; with --yes it begins without a question"
_STOPPED = "stopped; what is stored is kept, and the same command given again continues (with --yes without a question)"
ASKED_ABOVE = 3600.0  # seconds
_SAID_ABOVE = 10.0  # seconds; shorter work begins without a word
_LEAST_UPDATES, _LEAST_SECONDS = 3, 0.5  # to be timed, whichever comes later
_MOST_SECONDS = 10.0  # of timing
# What a worker process takes to import PyTorch and lastbit. On two half-busy cores one worker took 2.6 s and two at a
# time 3.9 s. It is a constant because this process has imported them already, at a time that says nothing of now.
START_SECONDS = 4.0


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(frozen=True)
class Answers:
    """Whether a command may ask a person."""

    yes: bool  # its --yes

    def say(self, text: str) -> None:
        """Print a line on standard error, as all progress is; standard output is for results."""
        SafeConsole(stderr=True).print(text, soft_wrap=True)

    def ask(self, seconds: float, before: str = "", refused: str = _NOT_BEGUN) -> None:
        """Ask on a terminal before work of more than an hour.

        Args:
            seconds: what the work takes.
            before: a line to print before the question.
            refused: the message if the answer is no.

        Raises:
            StoppedCommandError: the answer was no.
        """
        if seconds <= ASKED_ABOVE or self.yes or not at_terminal():
            return
        if not typer.confirm(f"{before}\nGo on?" if before else "Go on?", err=True):
            raise StoppedCommandError(refused)


def announce_study(
    study: Study, *, executors: Executors, run_seconds: Callable[[], float | None], answers: Answers
) -> float | None:
    """Say how many runs are to be made and about how long they take; ask if that is more than an hour.

    Args:
        study: about to run.
        executors: makes the runs.
        run_seconds: estimates the seconds of one run; returns None where only the first run can show it.
        answers: prints and asks.

    Returns:
        The estimated seconds of one run.

    Raises:
        StoppedCommandError: the answer was no.
    """
    pending = study.pending()
    if not pending:
        return None
    table = {trial.id for trial in study.trials()}
    controls = sum(trial.id not in table for trial in pending)
    stored = len(study.stored())
    runs = f"{len(pending)} run{'s' if len(pending) > 1 else ''} to make"
    already = f"{stored} more {'is' if stored == 1 else 'are'} stored already" if stored else ""
    parts = [f"{controls} of them {'a control' if controls == 1 else 'controls'}" if controls else "", already]
    counted = f"{runs} ({', '.join(filter(None, parts))})" if any(parts) else runs
    one_run = run_seconds()
    if one_run is None:
        answers.say(f"{study.name}: {counted} on {executors}; how long they take is known when the first has ended")
        return None
    workers = executors.limited(len(pending))
    start = start_seconds(workers)
    seconds = start + one_run * -(-len(pending) // workers)
    answers.say(
        f"{study.name}: {counted}, about {duration(seconds)} on {executors} (estimated from a few updates of one run, "
        f"with {duration(start)} for workers to start)"
    )
    answers.ask(seconds)
    return one_run


def start_seconds(workers: int) -> float:
    """About how long so many worker processes take until they can run something; they share the cores there are."""
    return START_SECONDS * max(1.0, workers / (os.cpu_count() or 1))


def announce_rest(name: str, seconds: float, answers: Answers) -> None:
    """Say how long a script's other runs take, once the first has ended; ask if that is more than an hour.

    Args:
        name: of the study.
        seconds: what the other runs may take.
        answers: prints and asks.

    Raises:
        StoppedCommandError: the answer was no.
    """
    if seconds >= _SAID_ABOVE:
        answers.say(f"{name}: the other runs take about {duration(seconds)} (estimated from the first)")
        answers.ask(seconds, refused=_STOPPED)


def announce_steps(name: str, steps: int, seconds: float, answers: Answers) -> None:
    """Say how long a training that has just begun takes, unless it is short; ask if that is more than an hour.

    Args:
        name: what is trained.
        steps: in all.
        seconds: what is left, estimated from the first steps.
        answers: prints and asks.

    Raises:
        StoppedCommandError: the answer was no.
    """
    if seconds >= _SAID_ABOVE:
        answers.say(f"{name}: {steps:,} steps, about {duration(seconds)} from here (estimated from the first steps)")
        answers.ask(seconds)


def recipe_seconds(training: RecipeTraining) -> float:
    """Estimate the seconds of one run of a recipe here from its first updates.

    The rest of a run is counted in updates: a batch of the test set as a third of one, a batch of the gradient
    fluctuation as one. Nothing that a study uses is touched.

    Args:
        training: of a recipe whose data are on this machine.
    """
    import torch

    from lastbit.execution.numerics import repeatable_numerics
    from lastbit.noise import Scale
    from lastbit.training.loop import recipe_stepper
    from lastbit.training.task import prepare

    recipe = training.recipe
    with torch.random.fork_rng(), repeatable_numerics():
        task = prepare(recipe, device=torch.device(training.device), root=training.root)
        update = _update_seconds(recipe_stepper(recipe, task, Scale(1)), task.epochs(1))
    tested = len(task.test_labels) / len(task.train_labels) / 3
    updates = recipe.epochs * task.steps_per_epoch * (1 + tested)
    every = recipe.measure.fluctuation_epochs
    measured = recipe.epochs // every * recipe.measure.fluctuation_batches if every else 0
    return update * (updates + measured)


def _update_seconds(stepper: Stepper, epochs: Epochs) -> float:
    """Mean seconds of an update. The first one is slower and is left out, unless it is the only one."""
    begun, ends = time.monotonic(), list[float]()
    for batch in next(epochs):
        float(stepper.take(batch))  # waits for a GPU
        ends.append(time.monotonic())
        enough = len(ends) > _LEAST_UPDATES and ends[-1] - begun >= _LEAST_SECONDS
        if enough or (len(ends) > 1 and ends[-1] - begun >= _MOST_SECONDS):
            break
    return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else ends[0] - begun


def duration(seconds: float) -> str:
    """A duration as `lastbit.report.paper` writes it."""
    from lastbit.report.numbers import duration as written

    return written(seconds)
