"""How long runs that exist already take to read: a CSV, and a directory of TensorBoard runs.

    python benchmarks/read_runs.py [--rows 1000] [--runs 200] [--steps 1000] [--tags 10] [--rival 10] [--rounds 3]

The CSV has a row for each run, with 20 recipes. The event files are written by torch's SummaryWriter, one for each of
eight runs; the other directories hold copies. The rival is TensorBoard's own EventAccumulator, keeping all scalars, on
the first `--rival` directories in turn with lastbit on the same ones; the ratio is of medians. The files are in the
system's cache when they are read, for both.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lastbit.runs import read_runs
from options import parsed, parser_of, write

DISTINCT = 8


def seconds(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def write_table(path: Path, rows: int) -> None:
    """A CSV of 20 recipes."""
    accuracy = np.random.default_rng(1).normal(90, 0.3, rows)
    lines = [f"recipe{at % 20},{at // 20},{0.1 / (1 + at % 20):g},{value:.2f}" for at, value in enumerate(accuracy)]
    path.write_text("recipe,seed,lr,acc\n" + "\n".join(lines) + "\n", encoding="utf-8")


def write_events(folder: Path, runs: int, steps: int, tags: int) -> None:
    """Directories of event files; of those after the eighth, copies."""
    generator = np.random.default_rng(2)
    for run in range(runs):
        place = folder / f"recipe{run % 20}_seed{run // 20}"
        if run >= DISTINCT:
            shutil.copytree(folder / f"recipe{run % DISTINCT}_seed0", place)
            continue
        with SummaryWriter(str(place)) as writer:
            for step, values in enumerate(generator.normal(size=(steps, tags))):
                for tag, value in enumerate(values):
                    writer.add_scalar(f"metrics/{tag}", value, step)


def accumulate(folders: list[Path], expected: int) -> None:
    """Read directories as TensorBoard does."""
    for folder in folders:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        if len(events.Scalars("metrics/0")) != expected:
            raise RuntimeError(f"{folder} was not read whole")


def measure(options: Any, folder: Path) -> dict[str, float]:
    """Times and their ratio."""
    table, events = folder / "runs.csv", folder / "events"
    write_table(table, options.rows)
    write_events(events, options.runs, options.steps, options.tags)
    some = sorted(events.iterdir())[: options.rival]
    times: dict[str, list[float]] = {"csv": [], "some": [], "rival": []}
    for _ in range(options.rounds):
        times["csv"].append(seconds(lambda: read_runs(table)))
        times["some"].append(seconds(lambda: read_runs(some, metric="metrics/0")))
        times["rival"].append(seconds(lambda: accumulate(some, options.steps)))
    every = seconds(lambda: read_runs(events, metric="metrics/0"))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "csv_rows": options.rows,
        "csv_seconds": medians["csv"],
        "tensorboard_runs": options.runs,
        "tensorboard_events": options.runs * options.steps * options.tags,
        "tensorboard_seconds": every,
        "rival_runs": len(some),
        "rival_seconds": medians["rival"],
        "lastbit_seconds_of_the_same": medians["some"],
        "times_faster_than_event_accumulator": medians["rival"] / medians["some"],
    }


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=1000, help="of the CSV (1000)")
    parser.add_argument("--runs", type=int, default=200, help="directories of event files (200)")
    parser.add_argument("--steps", type=int, default=1000, help="of each run (1000)")
    parser.add_argument("--tags", type=int, default=10, help="scalars at each step (10)")
    parser.add_argument("--rival", type=int, default=10, help="directories that EventAccumulator reads as well (10)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is read (3)")
    options = parsed(parser, rows=100, runs=10, steps=50, tags=2, rival=2, rounds=1)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options, Path(folder))
    for name, value in figures.items():
        print(f"{name:40} {value:12.4g}")
    write(figures, options.json)


if __name__ == "__main__":
    main()
