"""The shape of an item: one table or figure of the paper, at three scales, with what it claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lastbit.errors import LastbitError
from lastbit.paper.names import SCALES
from lastbit.report.charts import Figure
from lastbit.report.table import Table
from lastbit.storage.files import read_json, sha256, to_json, write_atomically
from lastbit.study import StoppedError

Settings = Mapping[str, Any]  # plain JSON: what `run` needs to know
Result = Mapping[str, Any]  # plain JSON: what `run` found, with null for what is not finite
Claim = dict[str, Any]  # made by `claim`
Drawing = Figure | Table


@dataclass(frozen=True)
class Cost:
    """What an item takes at a scale, so that it can be said before it starts.

    CPU time and peak memory are measured on the test machine where a scale was run, and extrapolated where it was not.
    """

    seconds: float  # on one CPU core
    memory_mib: int = 500  # at the peak, of each worker
    disk_mib: int = 1
    data: tuple[str, ...] = ()  # data sets that must have been fetched


@dataclass(frozen=True)
class ItemScale:
    """How much of an item to do."""

    settings: Settings
    cuts: str = ""  # what is less than the paper's, in words; empty where nothing is
    cost: Cost = field(default_factory=lambda: Cost(seconds=5.0))


@dataclass(frozen=True)
class Work:
    """Where an item's trainings are kept and by whom they are run; items without trainings need neither."""

    directory: Path  # studies in it go on where they stopped
    executor: Executor | None = None  # None: in this process, one after another
    shared: Path | None = None  # keeps trainings that several items use; None: each keeps its own in `directory`
    device: str = "cpu"  # where networks are trained; all else is computed on the CPU

    @property
    def studies(self) -> Path:
        """Where studies are kept, each in a directory named for its settings."""
        return self.shared or self.directory / "studies"


@dataclass(frozen=True)
class Item:
    """One table or figure.

    `run` calls the rooms and computes nothing itself, and may keep trainings in the place given. `claims` and `draw`
    read a result as `reproduce` gives it, or as it comes back from a JSON file.
    """

    id: str  # such as "figure5"
    title: str
    shows: str  # in a sentence
    scales: Mapping[str, ItemScale]  # for each of `SCALES`
    published: Mapping[str, Any]  # the numbers that the paper gives; statements in words where its numbers are lost
    run: Callable[[Settings, Work], dict[str, Any]]
    claims: Callable[[Result], list[Claim]]
    draw: Callable[[Result], list[Drawing]]
    trains: bool = False  # whether `run` hands trainings to the executor; else it is itself a job for one
    descends: bool = False  # whether `run` itself trains a network on the work's device
    order: int = 1000  # items are listed by it, then by id: the paper's, those beyond it, those of other packages

    def scale(self, name: str) -> ItemScale:
        """Return the scale of a name.

        Raises:
            LastbitError: there is no such scale.
        """
        if name not in self.scales:
            raise LastbitError(f"scale {name!r}: allowed are {', '.join(self.scales)}")
        return self.scales[name]

    def read(self, result: Result) -> tuple[list[Claim], list[Drawing]]:
        """What a result says: its claims and its drawings; raises whatever either of them raises."""
        return self.claims(result), self.draw(result)

    def reproduce(self, scale: str = "laptop", work: Work | None = None) -> dict[str, Any]:
        """Run at a scale and return the result as plain JSON, with `item`, `scale` and `settings` beside it.

        Args:
            scale: one of `SCALES`.
            work: where trainings are kept and who runs them; by default nowhere, in this process.

        Raises:
            LastbitError: there is no such scale.
        """
        settings = self.scale(scale).settings
        with TemporaryDirectory(prefix="lastbit-") as directory:
            computed = self.run(settings, work or Work(Path(directory)))
        computed = {**computed, "item": self.id, "scale": scale, "settings": settings}
        result: dict[str, Any] = json.loads(to_json(computed))
        return result


def same_at_every_scale(settings: Settings, cost: Cost) -> dict[str, ItemScale]:
    """The scales of an item that takes seconds: the paper's settings at each."""
    return dict.fromkeys(SCALES, ItemScale(settings, cost=cost))


def claim(
    text: str,
    *,
    published: Any,
    measured: Any,
    holds: bool | None,
    interval: Sequence[float] | None = None,
    reason: str = "",
) -> Claim:
    """A statement of the paper, or about it, with what was measured.

    Args:
        text: the statement.
        published: the paper's number or words; None for what it does not say.
        measured: the numbers that decide.
        holds: whether it is so here; None where this scale cannot decide.
        interval: where the measured number lies for certain.
        reason: why this scale cannot decide, or what to know about the outcome.
    """
    return {
        "claim": text,
        "published": published,
        "measured": measured,
        "interval": None if interval is None else list(interval),
        "holds": None if holds is None else bool(holds),
        "reason": reason,
    }


def rounded(values: Iterable[float], digits: int) -> list[float]:
    """Values to so many significant digits; what is not finite stays as it is."""
    return [float(f"{value:.{digits}g}") for value in values]


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
    paths = [work.directory / f"{job.__name__.strip('_')}-{_hash(options)}.json" for options in arguments]
    missing = {path: options for path, options in zip(paths, arguments, strict=True) if not path.is_file()}
    if work.executor is None:
        for path, options in missing.items():
            write_atomically(path, to_json(job(**options)).encode())
    else:
        futures = {work.executor.submit(job, **options): path for path, options in missing.items()}
        for future in as_completed(futures):
            if not future.cancelled():
                write_atomically(futures[future], to_json(future.result()).encode())
        if any(future.cancelled() for future in futures):
            raise StoppedError("stopped before all jobs were done")
    return [read_json(path) for path in paths]


def _hash(arguments: Mapping[str, Any]) -> str:
    return sha256(to_json(dict(arguments)).encode())[:16]
