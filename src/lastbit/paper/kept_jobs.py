"""Jobs of an item whose answers are kept one by one, so that an interrupted item goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from typing import Any

from lastbit.paper.item import Work
from lastbit.storage.files import read_json, sha256, to_json, write_atomically
from lastbit.study import StoppedError


def run_jobs(job: Callable[..., Any], arguments: Sequence[Mapping[str, Any]], work: Work) -> list[Any]:
    """Return what job(**each) gives for each of the arguments, in order, as plain JSON.

    Each answer is a file in the work's directory, named by the job and a hash of its arguments, written as soon as it
    is there. With an executor the missing ones are computed on it, else in this process one after another.

    Args:
        job: a function that other processes can import; it returns plain JSON.
        arguments: plain JSON for each.
        work: the directory, and who runs the jobs.

    Raises:
        StoppedError: the executor was stopped; the answers of jobs that had begun are kept.
    """
    paths = [work.directory / f"{job.__name__.strip('_')}-{_hash(each)}.json" for each in arguments]
    missing = {path: each for path, each in zip(paths, arguments, strict=True) if not path.is_file()}
    if work.executor is None:
        for path, each in missing.items():
            write_atomically(path, to_json(job(**each)).encode())
    else:
        futures = {work.executor.submit(job, **each): path for path, each in missing.items()}
        for future in as_completed(futures):
            if not future.cancelled():
                write_atomically(futures[future], to_json(future.result()).encode())
        if any(future.cancelled() for future in futures):
            raise StoppedError("stopped before all jobs were done")
    return [read_json(path) for path in paths]


def _hash(arguments: Mapping[str, Any]) -> str:
    return sha256(to_json(dict(arguments)).encode())[:16]
