"""Runs a study for a command: pool, progress, and what to say when it goes wrong."""

from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from lastbit.cli.progress import trial_progress
from lastbit.cli.wrong_input import FailedError, wrong_input
from lastbit.study import ControlsFailedError, Results, Study, TrialFailedError, local_pool
from lastbit.study.files import to_json, write_atomically

RESULTS = "results.json"


def run_study(study: Study, *, workers: int, title: str) -> Results:
    """Run what is not stored yet on `workers` processes, store `results.json` beside the trials, return the results.

    Raises:
        WrongInputError: the directory belongs to something else.
        FailedError: controls or trials failed, or a worker died.
    """
    with wrong_input():
        study.store.claim(study.description())
    pending = study.pending()
    try:
        results = _run(study, min(workers, len(pending)), title, len(pending)) if pending else study.run()
    except (ControlsFailedError, TrialFailedError) as error:
        raise FailedError(str(error)) from error
    except BrokenProcessPool:
        left = len(study.pending())
        raise FailedError(
            f"a worker died (killed, or out of memory); {left} trial(s) are left: the same command goes on with them"
        ) from None
    write_atomically(results_path(study.store.root), to_json(results.as_json()).encode())
    return results


def results_path(directory: Path) -> Path:
    """Where a study keeps its results for reports."""
    return directory / RESULTS


def _run(study: Study, workers: int, title: str, total: int) -> Results:
    with local_pool(workers) as pool, trial_progress(title, total) as on_trial:
        return study.run(pool, on_trial=on_trial)
