"""How much longer a step takes under `lastbit run` than under plain `python`, on the demo network.

One script trains in two processes, plainly and as a trial of `lastbit run`. They take turns, an epoch of 32 steps each,
so that a busy machine slows both alike; the script times its epochs, snapshots of the weights included, by the
processor time of its one thread. A ratio is taken within each turn, after one that warms up; the table gives the median
over the turns with its quartiles.

    python benchmarks/run_overhead.py [--turns 40] [--smoke] [--json FILE]
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lastbit.noise import Noise, Rounding, Scale, Ulp
from lastbit.script import Target
from lastbit.script.training import ScriptTraining
from lastbit.study import Trial
from options import parsed, parser_of, write

NOISES: tuple[Noise, ...] = (Scale(1), Scale(3), Ulp(1), Rounding(0.03, 1))
SCRIPT = """
import sys, time
import torch
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import initial_network
from lastbit.optimizers.family import build_optimizer
from lastbit.training.task import prepare
recipe = load_recipe("demo")
task = prepare(recipe)
model = initial_network(recipe, task)
optimizer = build_optimizer(recipe.optimizer, model.parameters())
epochs = task.epochs(seed=1)
with open(sys.argv[1]) as turns, open(sys.argv[2], "w") as times:
    for _ in turns:
        steps, begun = 0, time.process_time()
        for images, labels in next(epochs):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            steps += 1
        print(1e3 * (time.process_time() - begun) / steps, file=times, flush=True)
"""


@dataclass(frozen=True)
class Overhead:
    """Time of a step under `lastbit run` over that under plain `python`."""

    noise: str
    ratio: float  # median over the turns
    quartiles: tuple[float, float]
    plain_ms: float  # median over the turns of the processor time of a step, milliseconds
    run_ms: float


@contextmanager
def training(place: Path, start: Callable[[Target], Any]) -> Iterator[Callable[[], float]]:
    """Train in another process; gives a function that trains for an epoch, in milliseconds a step."""
    place.mkdir()
    script, turns, times = place / "train.py", place / "turns", place / "times"
    script.write_text(SCRIPT)
    os.mkfifo(turns)
    os.mkfifo(times)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(start, Target("file", str(script), (str(turns), str(times))))
        with turns.open("w") as orders, times.open() as taken:

            def epoch() -> float:
                """Train for one more epoch."""
                print(file=orders, flush=True)
                return float(taken.readline())

            yield epoch
        ended.result()


def plainly(target: Target) -> None:
    """Run under `python`, with the environment variables of a trial."""
    environment = dict(ScriptTraining(target).environment())
    subprocess.run([sys.executable, *target.words], env=environment, check=True)


def under_lastbit(target: Target, noise: Noise, directory: Path) -> None:
    """Run as a trial of `lastbit run`."""
    (directory / "trials").mkdir(parents=True)
    outcome = ScriptTraining(target).run_trial(Trial({}, 1, noise), directory, None)
    if outcome.error is not None:
        raise RuntimeError(outcome.error)


def overhead(noise: Noise, turns: int, place: Path) -> Overhead:
    """Let a plain training and one under `lastbit run` take turns, and compare their times."""
    with ExitStack() as stack:
        plain = stack.enter_context(training(place / "plain", plainly))
        run = stack.enter_context(training(place / "run", lambda target: under_lastbit(target, noise, place / "study")))
        plain(), run()  # which warms up
        pairs = [(plain(), run()) for _ in range(turns)]
    low, median, high = statistics.quantiles([time / base for base, time in pairs], n=4)
    plain_ms, run_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Overhead(noise.label, median, (low, high), plain_ms, run_ms)


def main() -> None:
    """Print the table, and write it as JSON where asked to."""
    parser = parser_of(__doc__)
    parser.add_argument("--turns", type=int, default=40, help="timed epochs of each training (40)")
    arguments = parsed(parser, turns=2)
    rows = []
    print(f"{'noise':<14}{'ratio':>8}{'quartiles':>18}{'plain ms':>11}{'run ms':>9}")
    for noise in NOISES:
        with tempfile.TemporaryDirectory() as place:
            row = overhead(noise, arguments.turns, Path(place))
        quartiles = f"{row.quartiles[0]:.3f} to {row.quartiles[1]:.3f}"
        print(f"{row.noise:<14}{row.ratio:>8.3f}{quartiles:>18}{row.plain_ms:>11.2f}{row.run_ms:>9.2f}", flush=True)
        rows.append(asdict(row))
    write(rows, arguments.json)


if __name__ == "__main__":
    main()
