"""Runs the trials of a script's study, and says what went wrong."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lastbit.cli.cost import Answers, announce_rest, announce_study
from lastbit.cli.output import FailedError
from lastbit.cli.varied import announce_design
from lastbit.cli.workers import Executors
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.script.training import ScriptTraining
    from lastbit.study import Study


def run_and_report(
    study: Study, training: ScriptTraining, executors: Executors, answers: Answers, report: Callable[[], None]
) -> None:
    """Run what is not stored yet of a script's study, then report, also where runs failed.

    Args:
        study: of the script.
        training: the script.
        executors: run the trials.
        answers: where it is said what the study takes.
        report: called with the study's directory still claimed.

    Raises:
        LastbitError: the directory holds something else, a metric was not found, or all runs would fail alike.
        FailedError: runs or controls failed; after the report.
    """
    from lastbit.cli.run_study import check_stored
    from lastbit.script.study import check_directory, find_again, refuse_missing_metrics

    check_directory(study, training)
    check_stored(study)
    # What other commands look for in the same runs must not come between looking, running and collecting.
    with study.store.claimed(study.description()):
        find_again(study, training)
        refuse_missing_metrics(study, training)
        failed = _run(study, training, executors, answers)
        report()
    if failed is not None:
        raise failed


def _run(study: Study, training: ScriptTraining, executors: Executors, answers: Answers) -> FailedError | None:
    """Run what is not stored yet; return what is to be said in the end where runs failed."""
    from lastbit.cli.run_study import run_trials
    from lastbit.script.study import refuse_missing_metrics, shared_files
    from lastbit.study import ControlsFailedError, TrialFailedError

    announce_design(study, answers)
    announce_study(study, executors=executors, run_seconds=lambda: None, answers=answers)
    try:
        run_trials(
            study,
            executor=lambda: _executor(study, training, executors),
            workers=lambda: training.children.cores.side_by_side or executors.workers,
            title=study.name,
            on_estimate=lambda seconds: announce_rest(study.name, seconds, answers),
            on_first=lambda: refuse_missing_metrics(study, training),
        )
    except FailedError as error:
        cause = error.__cause__
        if isinstance(cause, TrialFailedError) and (fatal := [failure for failure in cause.failures if failure.fatal]):
            raise LastbitError(str(fatal[0].error)) from error
        if isinstance(cause, ControlsFailedError):
            shared = f". {said}" if (said := shared_files(study, training)) else ""
            where = f". To see where: lastbit audit -- {shlex.join(training.target.words)}"
            raise FailedError(f"{cause}{shared}{'' if cause.controls.trained_alike else where}") from error
        return error
    return None


def _executor(study: Study, training: ScriptTraining, executors: Executors) -> AbstractContextManager[Executor]:
    """A cluster's workers, or threads that wait for processes here."""
    from lastbit.script.processes import thread_pool

    if executors.scheduler is not None:
        return executors.executor()
    return thread_pool(executors.limited(len(study.pending())), training.children)
