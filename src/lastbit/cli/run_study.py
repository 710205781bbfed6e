"""Runs a study for a command: pool, progress, and what to say when it goes wrong."""

import sys
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

from lastbit.cli.cost import Answers, announce_study, recipe_seconds
from lastbit.cli.output import FailedError
from lastbit.cli.progress import progress_bar, trial_progress
from lastbit.cli.workers import Executors, gentle_interrupts
from lastbit.errors import LastbitError
from lastbit.execution.dispatch import Watched
from lastbit.execution.jobs import LostWorkersError, Outcome, StoppedError
from lastbit.storage.directories import STUDY, TRIALS
from lastbit.storage.files import DamagedError
from lastbit.study import ControlsFailedError, Study, Trial, TrialFailedError
from lastbit.study.check import verify_study
from lastbit.study.design import SourceDesign
from lastbit.study.recorder import underway
from lastbit.study.results import FORMAT
from lastbit.training.recipe_training import RecipeTraining


def run_study(
    study: Study, *, executors: Executors, title: str, answers: Answers, training: RecipeTraining
) -> dict[str, Any]:
    """Run what is not stored yet; store the results beside the trials and return them as JSON.

    Args:
        study: in its directory.
        executors: runs the trials.
        title: for the progress bar.
        answers: where it is said what the study takes.
        training: of the study, which is timed first.

    Raises:
        LastbitError: the directory belongs to something else or is damaged, or the scheduler does not answer.
        FailedError: controls or trials failed, or all workers went away.
        StoppedCommandError: Ctrl-C, and what was in progress then is stored; or a question was answered with no.
    """
    check_stored(study)
    pending = study.pending()
    described = (study.store.root / STUDY).is_file()
    if not pending and described and (stored := _stored_results(study)) is not None:
        return stored
    here = executors.scheduler is None  # a cluster's workers are others than this machine
    seconds = announce_study(
        study, executors=executors, run_seconds=lambda: recipe_seconds(training) if here else None, answers=answers
    )
    workers = executors.limited(len(pending))
    if pending and here and not sys.stderr.isatty():  # without a bar nothing else is seen before the first run ends
        answers.say(f"{study.name}: starting {workers} worker{'s' if workers > 1 else ''}")
    run_trials(
        study,
        executor=lambda: executors.executor(len(pending)),
        workers=lambda: workers,
        title=title,
        seconds=seconds,
    )
    return study.store_results()


def check_stored(study: Study) -> None:
    """See that the directory is the study's or free for it, and that what is stored there is as it was.

    Raises:
        LastbitError: the directory belongs to something else, or a file in it is damaged.
    """
    root = study.store.root
    total = sum(1 for _ in (root / TRIALS).glob("*"))
    with progress_bar(f"check {root}", "trials", total, transient=True) as show:
        study.store.check(study.description())
        done = count(1)
        verify_study(root, settings=study.settings, on_trial=lambda: show(done=next(done)))


def run_trials(
    study: Study,
    *,
    executor: Callable[[], AbstractContextManager[Executor]],
    workers: Callable[[], int],
    title: str,
    seconds: float | None = None,
    on_estimate: Callable[[float], None] | None = None,
    on_first: Callable[[], None] = lambda: None,
    on_stored: Callable[[Outcome[Trial]], None] = lambda outcome: None,
) -> None:
    """Run what is not stored yet, with a progress bar, until Ctrl-C.

    Args:
        study: in its directory.
        executor: makes one, where there is something to run.
        workers: gives how many trials run at a time, where the executor does not know it better.
        title: for the progress bar.
        seconds: of one trial, as estimated before.
        on_estimate: called once, after the first trial, with an estimate of the seconds that the others take.
        on_first: called once a trial is stored; where it raises a LastbitError, those in progress end, and no other is
            begun.
        on_stored: called after each trial that is stored.

    Raises:
        LastbitError: the directory is in use, damaged or something else's, nobody can run these trials, or `on_first`
            raised it.
        FailedError: controls or trials failed, or all workers went away.
        StoppedCommandError: Ctrl-C, and what was in progress then is stored.
    """
    try:
        if not (pending := study.pending()):
            return study.complete()
        with executor() as inner:
            jobs = Watched(inner)
            progress = trial_progress(
                title,
                len(pending),
                lambda: _count(jobs) or workers(),
                lambda: underway(study.store.root, epochs=study.settings.get("epochs")),
                seconds,
                on_estimate,
            )
            with progress as on_trial, gentle_interrupts(jobs):
                _complete(study, jobs, on_trial, on_first, on_stored)
    except LostWorkersError as error:
        raise FailedError(f"{error}; give the same command again: it continues") from error
    except ControlsFailedError as error:
        raise FailedError(str(error)) from error
    except TrialFailedError as error:
        raise FailedError(f"{error}\n{_others(study, error)}") from error


def _complete(
    study: Study,
    jobs: Watched,
    on_trial: Callable[[Outcome[Trial]], None],
    on_first: Callable[[], None],
    on_stored: Callable[[Outcome[Trial]], None],
) -> None:
    """Complete a study, unless `on_first` refuses to go on after the first trial that is stored."""
    stored = 0
    refusals: list[LastbitError] = []

    def ended(outcome: Outcome[Trial]) -> None:
        """Show the trial, and ask once whether to go on."""
        nonlocal stored
        on_trial(outcome)
        if outcome.error is not None:
            return
        on_stored(outcome)
        stored += 1
        if stored == 1:
            try:
                on_first()
            except LastbitError as error:
                refusals.append(error)
                jobs.stop()

    try:
        study.complete(jobs, on_trial=ended, on_remark=_remark)
    except StoppedError:
        if not refusals:
            raise
    if refusals:
        raise refusals[0]


def _others(study: Study, error: TrialFailedError) -> str:
    """What has become of the trials that did not fail."""
    if error.untried:
        failed = len(error.failures)
        alike = f"{failed} trials failed alike" if failed == 2 else f"{failed} trials failed, the first two alike"
        rest = "the last one was" if error.untried == 1 else f"the other {error.untried} were"
        when = " before their first update" * all(failure.untrained for failure in error.failures[:2])
        return f"{alike}{when}, so {rest} not begun; the same command tries again"
    if not study.stored():
        return "No trial is stored; the same command tries again"
    return "All others are stored; the same command runs those that failed again"


def _remark(text: str) -> None:
    # Through sys.stderr, which the progress bar stands in for while it is drawn.
    sys.stderr.write(text + "\n")


def _count(jobs: Watched) -> int | None:
    """How many workers there are now, where the executor knows it."""
    return None if jobs.cluster is None else len(jobs.cluster.workers())


def _stored_results(study: Study) -> dict[str, Any] | None:
    """The stored results, where they are those of just this table, so that a second call need not compute them."""
    try:
        stored = study.store.stored_results()
    except DamagedError:  # missing or altered: they are computed again
        return None
    here = (FORMAT, [noise.label for noise in study.noises], list(study.seeds), study.controlled, _seeds(study.design))
    there = (
        *(stored.get(name) for name in ("format", "noises", "seeds")),
        stored.get("controls") is not None,
        (stored.get("design") or {}).get("seeds"),
    )
    return stored if here == there else None


def _seeds(design: SourceDesign | None) -> dict[str, list[int]] | None:
    """The seeds of each source as stored results have them."""
    return None if design is None else {name: list(seeds) for name, seeds in design.seeds.items()}
