"""Runs a study for a command: pool, progress, and what to say when it goes wrong."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lastbit.cli.progress import trial_progress
from lastbit.cli.wrong_input import FailedError, wrong_input
from lastbit.files import DamagedError, read_sealed, write_sealed
from lastbit.study import ControlsFailedError, Study, TrialFailedError, local_pool
from lastbit.study.results import FORMAT

RESULTS = "results.json"


def run_study(study: Study, *, workers: int, title: str) -> dict[str, Any]:
    """Run what is not stored yet on `workers` processes; store the results beside the trials and return them as JSON.

    Raises:
        WrongInputError: the directory belongs to something else.
        FailedError: controls or trials failed.
    """
    with wrong_input():
        study.store.check(study.description())
    pending = study.pending()
    if not pending and (stored := _stored_results(study)) is not None:
        return stored
    run_trials(study, pool=lambda: local_pool(min(workers, len(pending))), title=title)
    return store_results(study)


def run_trials(study: Study, *, pool: Callable[[], AbstractContextManager[Executor]], title: str) -> None:
    """Run what is not stored yet, with a progress bar.

    Args:
        study: in a directory of its own.
        pool: makes the executor, where there is something to run.
        title: for the progress bar.

    Raises:
        FailedError: controls or trials failed.
    """
    try:
        if not (pending := study.pending()):
            return study.complete()
        with pool() as executor, trial_progress(title, len(pending)) as on_trial:
            study.complete(executor, on_trial=on_trial)
    except ControlsFailedError as error:
        raise FailedError(str(error)) from error
    except TrialFailedError as error:
        raise FailedError(f"{error}\nAll others are stored; the same command runs those that failed again") from error


def store_results(study: Study) -> dict[str, Any]:
    """Compute a study's results, store them beside its trials and return them as JSON.

    Raises:
        WrongInputError: a stored trial is damaged.
    """
    with wrong_input():  # a stored trial may be damaged
        content: dict[str, Any] = study.results().as_json()
    write_sealed(results_path(study.store.root), content)
    return content


def results_path(directory: Path) -> Path:
    """Where a study keeps its results for reports."""
    return directory / RESULTS


def _stored_results(study: Study) -> dict[str, Any] | None:
    """The stored results, where they are those of just this table, so that a second call need not compute them."""
    path = results_path(study.store.root)
    if not path.is_file():
        return None
    try:
        stored = read_sealed(path)
    except DamagedError:  # they are computed again
        return None
    here = (FORMAT, [noise.label for noise in study.noises], list(study.seeds), study.controlled)
    there = (stored.get("format"), stored.get("noises"), stored.get("seeds"), stored.get("controls") is not None)
    return stored if here == there else None
