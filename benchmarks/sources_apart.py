"""Do the intervals of several sources hold, and are the spreads known as well as in a 6 x 6 grid of one source?

Runs are simulated from crossed random effects with known spreads, in the designs of `design_sources`. The last bit has
a spread of 1. Beside independent interactions of all three sources, one case has interactions of pairs of sources, and
one has effects with heavy tails (Student's t with 5 degrees of freedom, scaled to the same spread).

    python benchmarks/sources_apart.py [--rounds 1000] [--smoke] [--json FILE|-]
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lastbit.statistics.source_design import design_sources
from lastbit.statistics.sources import source_spreads
from lastbit.statistics.variance import variance_split
from options import parsed, parser_of, write

SOURCES = ("init", "order", "augmentation")
RUNS = (24, 36, 54)


@dataclass(frozen=True)
class Case:
    """True spreads in units of the last bit's."""

    source: float
    interaction: float
    pairs: bool = False  # the interaction is that of each two sources, not of all three
    heavy: bool = False


CASES = {
    "nothing but the last bit": Case(0, 0),
    "interaction alone": Case(0, 1),
    "sources alone": Case(1, 0),
    "sources and interaction": Case(1, 1),
    "large sources alone": Case(3, 0),
    "large sources and interaction": Case(3, 1),
    "interaction of pairs": Case(1, 1, pairs=True),
    "heavy tails": Case(1, 1, heavy=True),
}


def simulated(levels, case, generator):
    """The metric of every run."""

    def drawn(columns, std):
        """One draw for each combination of levels that occurs, given to its runs."""
        names, place = np.unique(columns, axis=0, return_inverse=True)
        draws = (
            generator.standard_t(5, len(names)) / np.sqrt(5 / 3) if case.heavy else generator.normal(size=len(names))
        )
        return std * draws[place.ravel()]

    table = np.stack(list(levels.values()), axis=1)
    columns = range(table.shape[1])
    y = drawn(np.arange(len(table))[:, None], 1) + sum(drawn(table[:, [at]], case.source) for at in columns)
    if not case.pairs:
        return y + drawn(table, case.interaction)
    pairs = list(combinations(columns, 2))
    return y + sum(drawn(table[:, pair], case.interaction / np.sqrt(len(pairs))) for pair in pairs)


def judged(levels, case, generator, rounds):
    """How often each interval holds the truth, the root mean squared error of each variance, the median interval."""
    truth = {**dict.fromkeys(levels, case.source), "interaction": case.interaction, "last bit": 1.0}
    held, errors, ends = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0.0), {name: [] for name in truth}
    for _ in range(rounds):
        estimate = source_spreads(levels, simulated(levels, case, generator))
        parts = {**estimate.sources, "interaction": estimate.interaction, "last bit": estimate.last_bit}
        for name, true in truth.items():
            held[name] += parts[name].lower <= true <= parts[name].upper
            errors[name] += (parts[name].std ** 2 - true**2) ** 2
            ends[name].append((parts[name].lower, parts[name].upper))
    return {
        name: {
            "coverage": held[name] / rounds,
            "error": float(np.sqrt(errors[name] / rounds)),
            "interval": np.median(ends[name], axis=0).tolist(),
            "above zero": float(np.mean([lower > 0 for lower, _ in ends[name]])),
        }
        for name in truth
    }


def of_grid(generator, rounds):
    """The same for the batch order and the last bit in a 6 x 6 grid, all spreads 1."""
    errors, held = np.zeros(2), np.zeros(2)
    for _ in range(rounds):
        table = generator.normal(size=6) + generator.normal(size=(6, 6))
        split = variance_split(table, None)
        parts = (split.batch_order, split.last_bit)
        errors += [(part.std**2 - 1) ** 2 for part in parts]
        held += [part.lower <= 1 <= part.upper for part in parts]
    figures = zip(("order", "last bit"), held / rounds, np.sqrt(errors / rounds), strict=True)
    return {name: {"coverage": float(coverage), "error": float(error)} for name, coverage, error in figures}


def main():
    """Simulate, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    options = parsed(parser, rounds=10)
    generator = np.random.default_rng(0)
    found = {
        f"{runs} runs": {
            case: judged(design_sources(SOURCES, runs), spreads, generator, options.rounds)
            for case, spreads in CASES.items()
        }
        for runs in RUNS
    }
    found["6 x 6 grid"] = {"sources alone": of_grid(generator, options.rounds)}
    write(found, options.json)
    if options.json != "-":
        for design, cases in found.items():
            for case, parts in cases.items():
                print(f"{design}, {case}")
                for name, part in parts.items():
                    line = f"  {name:14s} covers {100 * part['coverage']:5.1f} %, error of variance {part['error']:.2f}"
                    if "interval" in part:
                        line += f", median interval {part['interval'][0]:.2f} to {part['interval'][1]:.2f}"
                        line += f", above zero {100 * part['above zero']:.0f} %"
                    print(line)


if __name__ == "__main__":
    main()
