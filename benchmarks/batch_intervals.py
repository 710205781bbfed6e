"""How often the intervals of batch sharpness and gradient noise hold the truth, where it is a closed form.

Gaussian linear regression: x is normal in d dimensions with unit covariance, y = w'x + noise of STD n, and the weights
are a distance s from w. Then H = I, the gradients of batches of b have the mean s and the covariance
((s^2 + n^2) I + ss') / b, interaction-aware sharpness is 1, and batch sharpness is d for b = 1, and (d + b - 1) / b at
s = 0 for any b. Each simulation draws batches anew and makes the intervals of `BatchSums`; 95 % should hold the truth.

    python benchmarks/batch_intervals.py [--simulations 1000] [--smoke] [--json FILE]
"""

from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from lastbit.curvature.stochastic.estimates import BatchMean, BatchSums
from options import parsed, parser_of, write

CASES = ((10, 1, 0.0, 1.0), (10, 8, 0.0, 1.0), (10, 8, 1.0, 0.3), (40, 1, 1.0, 0.1), (40, 8, 0.5, 1.0))
COUNTS = (16, 32, 64)
ESTIMATES = ("sharpness", "interaction", "noise", "signal_to_noise")


@dataclass(frozen=True)
class Coverage:
    """How often each interval held the truth, at one setting; None: no closed form."""

    batches: int
    features: int
    size: int
    shift: float
    noise: float
    held: dict[str, float | None]


def truths(features: int, size: int, shift: float, noise: float) -> dict[str, float]:
    """The closed forms."""
    trace = ((shift**2 + noise**2) * features + shift**2) / size
    known = {"interaction": 1.0, "noise": trace, "signal_to_noise": shift**2 / trace}
    return known | ({"sharpness": (features + size - 1) / size} if shift == 0 or size == 1 else {})


def simulated(
    generator: np.random.Generator, batches: int, features: int, size: int, shift: float, noise: float
) -> BatchSums:
    """What one draw of batches gives."""
    inputs = generator.normal(size=(batches, size, features))
    residuals = inputs @ np.full(features, shift / features**0.5) + noise * generator.normal(size=(batches, size))
    gradients = np.einsum("cbd,cb->cd", inputs, residuals) / size
    curved = np.square(np.einsum("cbd,cd->cb", inputs, gradients)).mean(1)
    crossed = np.square(np.einsum("cbd,cd->cb", inputs[np.arange(batches) ^ 1], gradients)).mean(1)
    return BatchSums(curved, np.square(gradients).sum(1), crossed, gradients @ gradients.sum(0))


def coverage(batches: int, case: tuple[int, int, float, float], simulations: int) -> Coverage:
    """Count at one setting."""
    generator, known = np.random.default_rng(0), truths(*case)
    held: dict[str, list[bool]] = {name: [] for name in known}
    for _ in range(simulations):
        sums = simulated(generator, batches, *case)
        for name, truth in known.items():
            estimate: BatchMean = getattr(sums, name)()
            held[name].append(estimate.lower <= truth <= estimate.upper)
    shares = {name: float(np.mean(held[name])) if name in held else None for name in ESTIMATES}
    return Coverage(batches, *case, shares)


def main() -> None:
    """Simulate, and print the table, or JSON."""
    parser = parser_of(__doc__ or "")
    parser.add_argument("--simulations", type=int, default=1000, help="at each setting (1000)")
    arguments = parsed(parser, simulations=20)
    rows = [coverage(count, case, arguments.simulations) for count, case in product(COUNTS, CASES)]
    write([asdict(row) for row in rows], arguments.json)
    if arguments.json == "-":
        return
    print(f"{'batches':>7} {'d':>3} {'b':>2} {'s':>4} {'n':>4}  " + " ".join(f"{name:>15}" for name in ESTIMATES))
    for row in rows:
        cells = " ".join("-".rjust(15) if share is None else f"{share:>15.1%}" for share in row.held.values())
        print(f"{row.batches:>7} {row.features:>3} {row.size:>2} {row.shift:>4} {row.noise:>4}  {cells}")


if __name__ == "__main__":
    main()
