"""How often the intervals of `lastbit.divergence.growth` hold the truth, and rates against Lyapunov exponents.

    python benchmarks/growth.py [--series 400] [--smoke] [--json FILE]

First table: the interval of a slope alone, on series whose errors are known. Second: twins of chaotic maps from a
distance of 1e-9 to saturation, the interval of the steepest stretch that `growth` cuts out, against the exponent. (At
one unit in the last place each step's rounding is as large as the distance and adds to it, and of Henon's twins a
quarter fall together again; those that do not have grown faster than the exponent.) A coverage p from n series is
itself uncertain by √(p(1 − p)/n), which is printed.
"""

import sys
from pathlib import Path

import numpy as np

from lastbit.divergence import fit_trend, growth
from options import parsed, parser_of, write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "divergence"))
import chaotic_maps as maps  # lies with the tests, which use it too

APART = 1e-9


def walk(rng, n):
    """Errors that add up."""
    return rng.standard_normal(n).cumsum()


def both(rng, n):
    """Errors that add up, and a bounded fluctuation of the same size."""
    return walk(rng, n) + rng.standard_normal(n)


def independent(rng, n):
    """Errors around a line."""
    return rng.standard_normal(n)


def autoregressive(rng, n):
    """Errors that fade by a fifth a step."""
    errors = rng.standard_normal(n)
    for i in range(1, n):
        errors[i] += 0.8 * errors[i - 1]
    return errors


def tangent(rng, n):
    """Tangent vectors of Henon's map, less their mean growth."""
    return maps.tangent_henon(rng, n) - maps.HENON * np.arange(n)


def slopes(series):
    """Coverage of the slope's interval, for each kind of error and length."""
    rng = np.random.default_rng(0)
    for make in (walk, both, independent, autoregressive, tangent):
        for size in (10, 30, 100):
            trends = [fit_trend(np.arange(size, dtype=float), make(rng, size)) for _ in range(series)]
            yield make.__name__, size, [trend.lower <= 0 <= trend.upper for trend in trends]


def distances(name, rng):
    """Distances of two orbits that begin 1e-9 apart; `None` where they meet again."""
    if name == "logistic":
        x = rng.uniform(0.1, 0.9)
        pair = maps.logistic(x, 150), maps.logistic(x + APART, 150)
    elif name == "henon":
        start = maps.henon(rng.uniform(0, 0.1, 2), 50)[-1]
        pair = maps.henon(start, 250), maps.henon(start + APART * _direction(rng, 2), 250)
    else:
        start = maps.lorenz(np.array([1.0, 1.0, 20.0]) + rng.random(3), 600, 0.02)[-1]
        pair = maps.lorenz(start, 2400, 0.02), maps.lorenz(start + APART * _direction(rng, 3), 2400, 0.02)
    apart = np.linalg.norm(pair[0] - pair[1], axis=1)
    return apart if (apart > 0).all() else None


def _direction(rng, dimensions):
    vector = rng.standard_normal(dimensions)
    return vector / np.linalg.norm(vector)


def exponents(series):
    """Coverage of the known exponent by the steepest stretch's interval, and the median rate."""
    rng = np.random.default_rng(0)
    for name, exponent, orbits in (
        ("logistic", maps.LOGISTIC, series),
        ("henon", maps.HENON, series),
        ("lorenz", maps.LORENZ * 0.02, max(min(series, 10), series // 20)),
    ):
        series_apart = [apart for apart in (distances(name, rng) for _ in range(orbits)) if apart is not None]
        growths = [growth(apart) for apart in series_apart]
        best = [max(each.segments, key=lambda segment: segment.factor) for each in growths]
        held = [segment.lower <= exponent <= segment.upper for segment in best]
        width = float(np.median([segment.upper - segment.lower for segment in best]))
        level = sum(each.saturation is not None for each in growths) / len(growths)
        yield name, exponent, float(np.median([segment.rate for segment in best])), width, level, held


def covered(held):
    """A coverage in percent with its own standard error."""
    share = np.mean(held)
    return f"{100 * share:.1f} ± {100 * np.sqrt(share * (1 - share) / len(held)):.1f}"


def main():
    """Print both tables."""
    parser = parser_of(__doc__)
    parser.add_argument("--series", type=int, default=400)
    options = parsed(parser, series=5)
    print("| errors | values | coverage of the 95 % interval, % |\n| --- | --- | --- |")
    rows = []
    for name, size, held in slopes(options.series):
        print(f"| {name} | {size} | {covered(held)} |", flush=True)
        rows.append({"errors": name, "values": size, "coverage": float(np.mean(held)), "series": len(held)})
    print("\n| map | orbits | exponent a step | median rate | median width | saturation found | coverage, % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, exponent, rate, width, level, held in exponents(options.series):
        print(f"| {name} | {len(held)} | {exponent:.4f} | {rate:.4f} | {width:.3f} | {level:.2f} | {covered(held)} |")
        rows.append({"map": name, "exponent": exponent, "rate": rate, "coverage": float(np.mean(held))})
    write(rows, options.json)


if __name__ == "__main__":
    main()
