"""How much longer a step takes under `lastbit run` than under plain `python`, on the demo network.

The script times its own training loop, snapshots of the weights included, after an epoch that warms up. It counts the
processor time of its one thread, so that other programs on the machine matter as little as possible. Every round runs
it under each noise in turn, and plainly right before each; a ratio is taken within such a pair, and the table gives the
median over the rounds with its quartiles.

    python benchmarks/run_overhead.py [--rounds 9] [--epochs 3] [--smoke] [--json FILE]
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
        begun = time.process_time()
    for images, labels in next(epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        steps += epoch > 0
print(f"ms={1e3 * (time.process_time() - begun) / steps:.6f}")
"""


@dataclass(frozen=True)
class Overhead:
    """Time of a step under `lastbit run` over that under plain `python`."""

    noise: str
    ratio: float  # median over the rounds
    quartiles: tuple[float, float]
    plain_ms: float  # median over the rounds of the processor time of a step, milliseconds
    run_ms: float


def plain(script: Path, epochs: int) -> float:
    """Milliseconds a step under `python`, with the environment variables of a trial."""
    environment = dict(ScriptTraining(Target("file", str(script))).environment())
    command = [sys.executable, str(script), str(epochs)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return float(output.split("=")[1])


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
    """Run the script plainly and under each noise in turn, round after round."""
    with tempfile.TemporaryDirectory() as place:
        script = Path(place) / "train.py"
        script.write_text(SCRIPT)
        pairs: dict[str, list[tuple[float, float]]] = {noise.label: [] for noise in NOISES}
        for number in range(rounds):
            for noise in NOISES:
                base = plain(script, epochs)
                time = under_lastbit(script, epochs, noise, Path(place) / f"round-{number}")
                pairs[noise.label].append((base, time))
    return [overhead(label, times) for label, times in pairs.items()]


def overhead(noise: str, pairs: Sequence[tuple[float, float]]) -> Overhead:
    """Compare times of the same rounds, plain and under `lastbit run`."""
    ratios = [time / plain for plain, time in pairs]
    low, median, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    plain_ms, run_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Overhead(noise, median, (low, high), plain_ms, run_ms)


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
