"""Which desk hands out a study's trials: none, that of a cluster's proven workers, or that of any executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import replace

from lastbit.execution.cluster import Cluster
from lastbit.execution.watched import Watched
from lastbit.study.columns import Columns
from lastbit.study.execute import Job, Outcome
from lastbit.study.groups import ProvenWorkers
from lastbit.study.hand_out import AnyExecutor, in_this_process, outcomes


def outcomes_of(
    job: Job,
    columns: Columns,
    executor: Executor | None,
    on_remark: Callable[[str], None],
    enough: Callable[[], bool],
) -> Iterator[Outcome]:
    """Run a study's trials and give the outcome of each as it ends.

    Args:
        job: runs a trial.
        columns: the trials that are wanted.
        executor: runs jobs; without one, trials run in this process one after another.
        on_remark: told what a person should know of a cluster's workers, in words.
        enough: whether none that waits is to begin any more.

    Raises:
        LastbitError: a seed was begun on an arithmetic that nobody gives, or a cluster's worker cannot take part.
        StoppedError: the executor was stopped; raised once those in progress have ended.
        LostWorkersError: all workers are out of reach.
    """
    if executor is None:
        return in_this_process(job, columns, enough)
    if isinstance(executor, Cluster | Watched) and (cluster := executor.cluster) is not None:
        there = replace(job, root=job.root.absolute())  # whatever directory its workers were started in
        return outcomes(ProvenWorkers(executor, cluster, there, columns, on_remark), enough)
    return outcomes(AnyExecutor(executor, job, columns), enough)


def is_cluster(executor: Executor | None) -> bool:
    """Whether an executor's workers may be on several machines."""
    return isinstance(executor, Cluster | Watched) and executor.cluster is not None
