"""What a command is about to take: said before it begins, and asked on a terminal where it is above an hour."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from lastbit.cli.output import SafeConsole, StoppedCommandError
from lastbit.cli.workers import Crew

if TYPE_CHECKING:
    from lastbit.study import Study
    from lastbit.training.loop import Stepper
    from lastbit.training.recipe_training import RecipeTraining
    from lastbit.training.task import Epochs


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Begin what takes above an hour without a question.")]

_NOT_BEGUN = "not begun; with --yes it begins without a question"
_STOPPED = "stopped; what is stored is kept, and the same command goes on (with --yes without a question)"
ASKED_ABOVE = 3600.0  # seconds
_SAID_ABOVE = 10.0  # seconds, of what begins without a word
_LEAST_UPDATES, _LEAST_SECONDS = 3, 0.5  # that are timed, whichever comes later
_MOST_SECONDS = 10.0  # after which no more are timed


def at_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(frozen=True)
class Answers:
    """Whether a command may ask a person."""

    yes: bool  # its --yes

    def say(self, text: str) -> None:
        """Say what is about to happen, on standard error like all progress: the results have the other."""
        SafeConsole(stderr=True).print(text, soft_wrap=True)

    def ask(self, seconds: float, said: str = "", refused: str = _NOT_BEGUN) -> None:
        """Ask on a terminal before what takes above an hour.

        Args:
            seconds: it takes.
            said: of it, where it has not been said yet.
            refused: what a no has come to.

        Raises:
            StoppedCommandError: the answer was no.
        """
        if seconds <= ASKED_ABOVE or self.yes or not at_terminal():
            return
        if not typer.confirm(f"{said}\nGo on?" if said else "Go on?", err=True):
            raise StoppedCommandError(refused)


def announce_study(
    study: Study, *, crew: Crew, run_seconds: Callable[[], float | None], answers: Answers
) -> float | None:
    """Say how many runs are to be made and about how long they take, and ask where that is above an hour.

    Args:
        study: that is about to run.
        crew: makes the runs.
        run_seconds: estimates those of one run; None where nobody can before the first has ended.
        answers: where it is said.

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
    each = run_seconds()
    if each is None:
        answers.say(f"{study.name}: {counted} on {crew}; how long they take is known when the first has ended")
        return None
    whole = each * -(-len(pending) // crew.limited(len(pending)))
    answers.say(f"{study.name}: {counted}, about {duration(whole)} on {crew} (estimated from a few updates of one run)")
    answers.ask(whole)
    return each


def announce_rest(name: str, seconds: float, answers: Answers) -> None:
    """Say how long the runs to come take, once the first of a script has ended, and ask where it is above an hour.

    Args:
        name: of the study.
        seconds: those to come may take.
        answers: where it is said.

    Raises:
        StoppedCommandError: the answer was no.
    """
    if seconds >= _SAID_ABOVE:
        answers.say(f"{name}: the other runs take about {duration(seconds)} (estimated from the first)")
        answers.ask(seconds, refused=_STOPPED)


def announce_steps(name: str, steps: int, seconds: float, answers: Answers) -> None:
    """Say how long a training that has just begun takes, where that is worth a word, and ask where it is above an hour.

    Args:
        name: what is trained.
        steps: in all.
        seconds: it takes from here, by its first steps.
        answers: where it is said.

    Raises:
        StoppedCommandError: the answer was no.
    """
    if seconds >= _SAID_ABOVE:
        answers.say(f"{name}: {steps:,} steps, about {duration(seconds)} from here (estimated from the first steps)")
        answers.ask(seconds)


def recipe_seconds(training: RecipeTraining) -> float:
    """About how long one run of a recipe takes here, from its first updates.

    What a run does beside its updates is counted as updates: testing as a third of one for each batch, measuring the
    fluctuation of gradients as one for each batch. Nothing that a study uses is touched.

    Args:
        training: of a recipe whose data are here.
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
    """Mean seconds of an update, the first of which, slower than all others, is left out where there are more."""
    begun, ends = time.monotonic(), list[float]()
    for batch in next(epochs):
        float(stepper.take(batch))  # waits for a GPU
        ends.append(time.monotonic())
        enough = len(ends) > _LEAST_UPDATES and ends[-1] - begun >= _LEAST_SECONDS
        if enough or (len(ends) > 1 and ends[-1] - begun >= _MOST_SECONDS):
            break
    return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else ends[0] - begun


def duration(seconds: float) -> str:
    """As `lastbit.report.paper` writes one."""
    from lastbit.report.paper import duration as written  # only here: charts take a third of a second to import

    return written(seconds)
