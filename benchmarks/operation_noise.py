"""What noise in the results of operations costs, and whether training carries it as far as the paper's noise.

    python benchmarks/operation_noise.py [--rounds 40] [--steps 96] [--seeds 5] [--smoke] [--json FILE]

First table: the CPU time of a step of the `demo` recipe (forward, backward and update) with `Operations` over that of a
step without, in turn in one run; a ratio is taken within a round, and its median over the rounds is given with
quartiles. p = 0 shows what the looking at every operation costs. Second table: twins of `demo` that differ in one
noise. `step 16` is their relative L2 distance after 16 steps, the median, least and greatest over seeds of the noise,
or over k; `horizon` is the first step after which it is at least 1 %, for each of them.
"""

import statistics
import time
from dataclasses import asdict, dataclass

import torch

from lastbit.noise import Noise, Operations, Rounding, Scale, Unperturbed
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import recipe_stepper
from lastbit.training.task import prepare
from lastbit.training.twins import run_twins
from options import parsed, parser_of, write

WARM_UP = 3  # rounds that are not counted
FAR = 0.01  # relative distance
LOOKED_AT = 16  # step


@dataclass(frozen=True)
class Cost:
    """CPU time of a step with a noise over that of a step without."""

    noise: str
    ratio: float  # median over the rounds
    quartiles: tuple[float, float]
    plain_ms: float  # median time of a step without
    noisy_ms: float


@dataclass(frozen=True)
class Reach:
    """How far twins with one kind of noise come apart, over its seeds."""

    noise: str
    early: list[float]  # relative L2 distance after step 16, for each seed
    horizon: list[int | None]  # steps until the distance is 1 %; None where it never is


def costs(noises: list[Noise], rounds: int) -> list[Cost]:
    """Time steps of twins on the same batches, in turn."""
    recipe = load_recipe("demo")
    task = prepare(recipe)
    taken: dict[str, list[float]] = {"": []}
    batches = task.batches(1)
    for noise in noises:
        taken[noise.label] = []
    for round_ in range(-WARM_UP, rounds):
        batch = next(batches)
        for noise in (Unperturbed(), *noises):
            # Each is alone while it is timed: a noise looks at all operations of its thread.
            label = "" if isinstance(noise, Unperturbed) else noise.label
            stepper = recipe_stepper(recipe, task, noise)
            stepper.take(batch)
            begun = time.process_time()
            stepper.take(batch)
            if round_ >= 0:
                taken[label].append((time.process_time() - begun) * 1e3)
    own = taken.pop("")
    return [cost(label, own, times) for label, times in taken.items()]


def cost(label: str, own: list[float], times: list[float]) -> Cost:
    """Ratios within rounds."""
    low, ratio, high = statistics.quantiles([ours / theirs for ours, theirs in zip(times, own, strict=True)], n=4)
    return Cost(label, ratio, (low, high), statistics.median(own), statistics.median(times))


def reach(name: str, noises: list[Noise], steps: int) -> Reach:
    """Train twins that differ in each of the noises."""
    recipe = load_recipe("demo")
    task = prepare(recipe)
    early, horizon = [], []
    for noise in noises:
        run = run_twins(recipe, task, noise=noise, baseline=Unperturbed(), seed=1, steps=steps)
        distances = dict(zip(run.history.steps, run.history.relative_l2, strict=True))
        early.append(distances[min(LOOKED_AT, max(distances))])
        horizon.append(next((step for step, distance in distances.items() if distance >= FAR), None))
    return Reach(name, early, horizon)


def main() -> None:
    """Measure both, and print the tables or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="counted rounds (40)")
    parser.add_argument("--steps", type=int, default=96, help="of the twins (96)")
    parser.add_argument("--seeds", type=int, default=5, help="of each noise (5)")
    arguments = parsed(parser, rounds=2, steps=4, seeds=2)
    torch.set_num_threads(1)
    spent = costs([Operations(1, p) for p in (0.0, 0.03, 0.3, 1.0)], arguments.rounds)
    seeds = range(1, arguments.seeds + 1)
    reached = [
        reach("operations p=0.03", [Operations(seed, 0.03) for seed in seeds], arguments.steps),
        reach("operations p=1", [Operations(seed, 1.0) for seed in seeds], arguments.steps),
        reach("rounding p=0.03", [Rounding(0.03, seed) for seed in seeds], arguments.steps),
        reach("scale", [Scale(2 * seed + 1) for seed in seeds], arguments.steps),
    ]
    write({"cost": [asdict(row) for row in spent], "reach": [asdict(row) for row in reached]}, arguments.json)
    if arguments.json == "-":
        return
    for row in spent:
        spread = f"{row.quartiles[0]:.2f} .. {row.quartiles[1]:.2f}"
        print(f"{row.noise:<22} {row.ratio:>6.2f} {spread:>14} {row.plain_ms:>8.2f} ms {row.noisy_ms:>8.2f} ms")
    for each in reached:
        early = f"{statistics.median(each.early):.1e} ({min(each.early):.1e} .. {max(each.early):.1e})"
        print(f"{each.noise:<22} step {LOOKED_AT}: {early}   horizon: {each.horizon}")


if __name__ == "__main__":
    main()
