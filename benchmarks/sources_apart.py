"""Do the intervals of several sources hold, and are the spreads known as well as in a 6 x 6 grid of one source?

Runs are simulated from crossed random effects with known spreads, in the designs of `design_sources`. The last bit has
a spread of 1. Beside independent interactions of all three sources, one case has interactions of pairs of sources, and
one has effects with heavy tails (Student's t with 5 degrees of freedom, scaled to the same spread).

The second part simulates test sets: what each source adds to the quality of a run is known, and every run is right on
2,000 examples of its own. Is the split of each source's spread into quality and luck without bias, and does the
interval hold, at a quality that does not vary too? Two sources and three, in units of percentage points.

    python benchmarks/sources_apart.py [--rounds 1000] [--smoke] [--json FILE|-]
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lastbit.statistics.source_design import design_sources
from lastbit.statistics.sources import source_qualities, source_spreads
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


EXAMPLES = 2000
QUALITIES = {  # points by each source, by the interaction and by the last bit
    "no quality": (0.0, 0.0, 0.0),
    "0.1 points each": (0.1, 0.1, 0.1),
    "0.2 points each": (0.2, 0.2, 0.2),
    "0.5 points each": (0.5, 0.5, 0.5),
    "0.5 points by the last bit alone": (0.0, 0.0, 0.5),
    "0.5 points by the sources alone": (0.5, 0.0, 0.0),
}
HARDNESS, HARD = 11.0, 8.0  # mean and spread over examples, in units of what chance decides for a run and an example


def of_examples(levels, quality, generator):
    """Percent right of every run on every example, shape (runs, examples).

    A source, a combination and a run each prefer examples of their own, which is luck, and are better or worse on all
    of them, which is quality. So many latent units make a point of accuracy as the density at the mean says.
    """
    table = np.stack(list(levels.values()), axis=1)
    cells = np.unique(table, axis=0, return_inverse=True)[1].ravel()
    columns = [*table.T, cells, np.arange(len(table))]
    point = np.sqrt(HARD**2 + len(columns)) * np.sqrt(2 * np.pi) / 100
    point *= np.exp(HARDNESS**2 / (HARD**2 + len(columns)) / 2)
    latent = HARDNESS + HARD * generator.standard_normal(EXAMPLES, dtype=np.float32)[None].repeat(len(table), 0)
    for column, std in zip(columns, quality_of_columns(levels, quality), strict=True):
        draws = generator.standard_normal((column.max() + 1, EXAMPLES), dtype=np.float32)
        draws += np.float32(point) * std * generator.standard_normal((column.max() + 1, 1), dtype=np.float32)
        latent += draws[column]
    return 100.0 * (latent > 0)


def quality_of_columns(levels, quality):
    """The true spreads in the order of the sources, the interaction and the last bit."""
    return [*(quality[0] for _ in levels), *quality[1:]]


def split_judged(sources, runs, quality, generator, rounds):
    """Bias and coverage of the quality by each part; true spreads are to first order in the effects."""
    levels = design_sources(sources, runs)
    truth = dict(zip((*levels, "interaction", "last bit"), quality_of_columns(levels, quality), strict=True))
    estimates = {name: [] for name in truth}
    for _ in range(rounds):
        split = source_qualities(levels, of_examples(levels, quality, generator))
        parts = {**split.sources, "interaction": split.interaction, "last bit": split.last_bit}
        for name, part in parts.items():
            estimates[name].append(part)
    return {name: of_split(parts, truth[name]) for name, parts in estimates.items()}


def of_split(parts, true):
    """What many estimates of one true spread of quality are like."""
    variances = np.array([part.variance for part in parts])
    error = variances.std(ddof=1) / np.sqrt(len(parts))
    return {
        "true spread": true,
        "luck": float(np.sqrt(np.mean([part.luck**2 for part in parts]))),
        "bias in standard errors": float((variances.mean() - true**2) / error),
        "coverage": float(np.mean([part.lower <= true <= part.upper for part in parts])),
        "interval": np.median([(part.lower, part.upper) for part in parts], axis=0).tolist(),
        "above zero": float(np.mean([part.shown for part in parts])),
    }


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
    generator, rounds = np.random.default_rng(1), -(-options.rounds // 2)
    split = {
        f"{runs} runs, {len(sources)} sources": {
            case: split_judged(sources, runs, quality, generator, rounds) for case, quality in QUALITIES.items()
        }
        for sources, runs in ((SOURCES[:2], 24), (SOURCES, 24), (SOURCES, 54))
    }
    write({**found, "quality": split}, options.json)
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
        for design, cases in split.items():
            for case, parts in cases.items():
                print(f"quality, {design}, {case}")
                for name, part in parts.items():
                    low, high = part["interval"]
                    print(
                        f"  {name:14s} bias {part['bias in standard errors']:+5.1f} errors, covers "
                        f"{100 * part['coverage']:5.1f} %, median interval {low:.2f} to {high:.2f}, above zero "
                        f"{100 * part['above zero']:.0f} %, luck {part['luck']:.2f}"
                    )


if __name__ == "__main__":
    main()
