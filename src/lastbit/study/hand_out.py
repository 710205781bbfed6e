"""Gives trials to an executor, few at a time, and their outcomes back as they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from lastbit.study.execute import Outcome
from lastbit.study.lost import LostWorkersError
from lastbit.study.trial import Trial

# Handed out and not ended yet, at most. It bounds what a study of any size keeps in memory, and is more than the
# workers of an executor that does not say how many it has; the queue of such an executor is what `cancel` empties.
AHEAD = 1_000
# Seconds after which a wait begins anew: a signal that comes while a thread goes to sleep on a lock does not wake it.
LOOK = 0.5


class StoppedError(RuntimeError):
    """A study was asked to stop before all its trials were stored; those that had begun have ended."""


def hand_out(executor: Executor, job: Callable[[Trial], Outcome], trials: Sequence[Trial]) -> Iterator[Outcome]:
    """Run trials on an executor, in order as far as workers are free, and give each outcome as it ends.

    Args:
        executor: any; of its futures one that was cancelled means that no more are to begin.
        job: runs and stores one trial where it is called.
        trials: to be run.

    Raises:
        StoppedError: a future was cancelled; raised once those in progress have ended.
        LostWorkersError: all workers are out of reach.
    """
    waiting, running, stopped = deque(trials), dict[Future[Outcome], Trial](), False
    try:
        while (waiting and not stopped) or running:
            while waiting and not stopped and len(running) < AHEAD:
                trial = waiting.popleft()
                running[executor.submit(job, trial)] = trial
            for future in wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done:
                trial = running.pop(future)
                stopped = stopped or future.cancelled()
                if not future.cancelled():
                    yield outcome_of(future, trial)
    finally:
        for future in running:
            future.cancel()
    if stopped:
        raise StoppedError("stopped before all trials were stored")


def outcome_of(future: Future[Outcome], trial: Trial) -> Outcome:
    """How the trial of a future that is done went.

    Raises:
        LostWorkersError: no other trial can be run either.
    """
    try:
        return future.result()
    except LostWorkersError:
        raise
    except Exception as error:
        # The executor's trouble, not the training's: a worker that died, a connection that broke.
        return Outcome(trial, f"{type(error).__name__}: {error}")
