"""How much longer a step takes under `lastbit run` than under plain `python`, on the demo network.

The script times its own training loop, snapshots of the weights included, and prints milliseconds a step. Every round
runs it plainly and under each noise in turn, in processes of one thread, so that a busy machine slows all of them
alike; a ratio is taken within a round, and the table gives the median over the rounds with its quartiles.

    python benchmarks/run_overhead.py [--rounds 9] [--epochs 3] [--smoke] [--json FILE]
"""

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from lastbit.noise import Noise, Rounding, Scale, Ulp
from lastbit.script import Target
from lastbit.script.pattern_metric import PatternMetric
from lastbit.script.training import ScriptTraining
from lastbit.study import Trial
from lastbit.study.store import Store
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
epochs, steps = task.epochs(seed=1), 0
for epoch in range(int(sys.argv[1]) + 1):
    if epoch == 1:  # the first epoch warms up
        begun = time.perf_counter()
    for images, labels in next(epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        steps += epoch > 0
print(f"ms={1e3 * (time.perf_counter() - begun) / steps:.6f}")
"""


@dataclass(frozen=True)
class Overhead:
    """Time of a step under `lastbit run` over that under plain `python`."""

    noise: str
    ratio: float  # median over the rounds
    quartiles: tuple[float, float]
    plain_ms: float  # median time of a step, milliseconds
    run_ms: float


def plain(script: Path, epochs: int) -> float:
    """Milliseconds a step under `python`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(epochs)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return float(said.split("=")[1])


def under_lastbit(script: Path, epochs: int, noise: Noise, directory: Path) -> float:
    """Milliseconds a step as a trial of `lastbit run`."""
    target = Target("file", str(script), (str(epochs),))
    trial = Trial({"round": directory.name}, 1, noise)
    (directory / "trials").mkdir(parents=True, exist_ok=True)
    training = ScriptTraining(target, sources=(PatternMetric("ms=([0-9.]+)"),))
    outcome = training.run_trial(trial, directory, None)
    if outcome.error is not None:
        raise RuntimeError(outcome.error)
    value = Store(directory).load(trial).final("ms")
    if value is None:
        raise RuntimeError("the script printed no time")
    return value


def measure(rounds: int, epochs: int) -> list[Overhead]:
    """Run all contestants in turn, round after round."""
    with tempfile.TemporaryDirectory() as place:
        script = Path(place) / "train.py"
        script.write_text(SCRIPT)
        base: list[float] = []
        found: dict[str, list[float]] = {noise.label: [] for noise in NOISES}
        for number in range(rounds):
            base.append(plain(script, epochs))
            for noise in NOISES:
                found[noise.label].append(under_lastbit(script, epochs, noise, Path(place) / f"round-{number}"))
    return [overhead(label, times, base) for label, times in found.items()]


def overhead(noise: str, times: list[float], base: list[float]) -> Overhead:
    """Compare times of the same rounds."""
    ratios = [time / plain for time, plain in zip(times, base, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return Overhead(noise, median, (low, high), statistics.median(base), statistics.median(times))


def main() -> None:
    """Print the table, and write it as JSON where asked to."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parsed(parser, rounds=1, epochs=1)
    rows = measure(arguments.rounds, arguments.epochs)
    print(f"{'noise':<14}{'ratio':>8}{'quartiles':>18}{'plain ms':>11}{'run ms':>9}")
    for row in rows:
        low, high = row.quartiles
        print(
            f"{row.noise:<14}{row.ratio:>8.3f}{f'{low:.3f} to {high:.3f}':>18}{row.plain_ms:>11.2f}{row.run_ms:>9.2f}"
        )
    write([asdict(row) for row in rows], arguments.json)


if __name__ == "__main__":
    main()
