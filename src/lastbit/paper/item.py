"""The type of an item: a table, figure or theorem of the paper, at three scales, with its claims."""

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
Result = Mapping[str, Any]  # plain JSON: what `run` computed, with null for numbers that are not finite
Claim = dict[str, Any]  # made by `claim`
Drawing = Figure | Table


@dataclass(frozen=True)
class Cost:
    """What an item needs at a scale, announced before it starts.

    CPU time and peak memory are measured on the test machine for scales that were run, and extrapolated for others.
    """

    seconds: float  # on one CPU core
    memory_mib: int = 500  # at the peak, of each worker
    disk_mib: int = 1
    data: tuple[str, ...] = ()  # data sets that must have been fetched


@dataclass(frozen=True)
class ItemScale:
    """An item's settings at one scale."""

    settings: Settings
    cuts: str = ""  # what is reduced compared with the paper, in words; empty if nothing is
    cost: Cost = field(default_factory=lambda: Cost(seconds=5.0))


@dataclass(frozen=True)
class Work:
    """Where an item's trainings are stored and who runs them; items without trainings need neither."""

    directory: Path  # interrupted studies in it continue
    executor: Executor | None = None  # None: in this process, one after another
    shared: Path | None = None  # for trainings that several items use; None: each item stores its own in `directory`
    device: str = "cpu"  # where networks are trained; everything else is computed on the CPU

    @property
    def studies(self) -> Path:
        """The directory of studies, in which each has a directory named after its settings."""
        return self.shared or self.directory / "studies"


@dataclass(frozen=True)
class Item:
    """One table or figure.

    `run` computes the result by calling other parts of lastbit, and may store trainings in the directory of its `Work`.
    `claims` and `draw` take a result as `reproduce` returns it or as it is read from a JSON file.
    """

    id: str  # such as "figure5"
    title: str
    shows: str  # in a sentence
    scales: Mapping[str, ItemScale]  # by name, for each of `SCALES`
    published: Mapping[str, Any]  # the numbers that the paper gives; words where its text has lost them
    run: Callable[[Settings, Work], dict[str, Any]]
    claims: Callable[[Result], list[Claim]]
    draw: Callable[[Result], list[Drawing]]
    trains: bool = False  # whether `run` hands trainings to the executor; otherwise `run` itself is a job for it
    descends: bool = False  # whether `run` itself trains a network on the work's device
    order: int = 1000  # items are sorted by it, then by id: the paper's, those beyond it, other packages'

    def scale(self, name: str) -> ItemScale:
        """Return the settings at a scale.

        Raises:
            LastbitError: there is no such scale.
        """
        if name not in self.scales:
            raise LastbitError(f"scale {name!r}: allowed are {', '.join(self.scales)}")
        return self.scales[name]

    def read(self, result: Result) -> tuple[list[Claim], list[Drawing]]:
        """Return a result's claims and its drawings; whatever either of them raises is raised."""
        return self.claims(result), self.draw(result)

    def reproduce(self, scale: str = "laptop", work: Work | None = None) -> dict[str, Any]:
        """Run at a scale and return the result as plain JSON, with `item`, `scale` and `settings` beside it.

        Args:
            scale: one of `SCALES`.
            work: where trainings are stored and who runs them; by default a temporary directory and this process.

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
    """Return the scales of an item that takes seconds: the paper's settings at every scale."""
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
    """Return a statement of the paper, or about it, with the measurement that decides it.

    Args:
        text: the statement.
        published: the paper's number or words; None if it says nothing about this.
        measured: the numbers that decide it.
        holds: whether it is true here; None if this scale cannot decide.
        interval: bounds on the measured number.
        reason: why this scale cannot decide, or a remark on the outcome.
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
    """Round values to a number of significant digits; values that are not finite stay as they are."""
    return [float(f"{value:.{digits}g}") for value in values]


def run_jobs(job: Callable[..., Any], arguments: Sequence[Mapping[str, Any]], work: Work) -> list[Any]:
    """Call a job once for each set of arguments, and return its answers in the same order, as plain JSON.

    Each answer is stored in the work's directory as soon as it exists, in a file named after the job and a hash of its
    arguments. Missing answers are computed by the executor, or without one in this process, one after another.

    Args:
        job: a function that other processes can import and that returns plain JSON.
        arguments: the keyword arguments of each call, plain JSON.
        work: the directory, and who runs the jobs.

    Raises:
        StoppedError: the executor was stopped; the answers of jobs that had started are stored.
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
