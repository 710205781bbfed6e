"""How often the intervals of a comparison hold the truth, and how often its tests find what is not there.

Two recipes are simulated with known effects of batch order, last bit and test set, and compared as `lastbit compare`
does. Every interval claims 95 %, every test 5 %, every least gain 80 %. The naive test takes all runs as independent.

    python benchmarks/comparison_coverage.py [--rounds 4000] [--smoke] [--json FILE|-]
"""

import numpy as np
from scipy import special, stats

from lastbit.statistics.examples import Correctness, example_test
from lastbit.statistics.means import exchanged, flipped_signs, paired_t, welch_t
from lastbit.statistics.power import Design
from lastbit.statistics.variance import variance_split
from lastbit.study.comparison.replicates import replicates
from lastbit.study.comparison.two import read_sides
from options import parsed, parser_of, write

# seeds of a, seeds of b, noises, effect of batch order of a and of b, effect of the last bit
CASES = {
    "6 seeds x 6 noises, mostly batch order": (6, 6, 6, 1.0, 1.0, 0.3),
    "6 seeds x 6 noises, mostly last bit": (6, 6, 6, 0.3, 0.3, 1.0),
    "3 seeds x 4 noises": (3, 3, 4, 0.7, 0.7, 0.7),
    "5 and 8 seeds of single runs, one spreads thrice": (5, 8, 1, 1.5, 0.5, 0.1),
}
GAIN = 0.4


def nested(generator, seeds, noises, order, last_bit):
    """A table (noises, seeds) of the nested model."""
    return generator.normal(0, order, (1, seeds)) + generator.normal(0, last_bit, (noises, seeds))


def of_runs(generator, rounds, case):
    """Coverage of both tests' intervals, and the naive test's false positives."""
    seeds_a, seeds_b, noises, order_a, order_b, last_bit = case
    found = {"Welch, coverage": [], "naive t on all runs, false positives": []}
    if seeds_a == seeds_b:
        found["pairs, coverage"] = []
    for _ in range(rounds):
        a, b = (
            nested(generator, seeds_a, noises, order_a, last_bit),
            nested(generator, seeds_b, noises, order_b, last_bit),
        )
        naive = stats.ttest_ind(a.ravel(), b.ravel()).pvalue < 0.05
        found["naive t on all runs, false positives"].append(naive)
        one, other = read_sides(a + GAIN, b, None)
        test = replicates(one, other, paired=False).unpaired_test()
        found["Welch, coverage"].append(test.lower <= GAIN <= test.upper)
        if seeds_a == seeds_b:
            test = replicates(one, other, paired=True).paired_test()
            found["pairs, coverage"].append(test.lower <= GAIN <= test.upper)
    return {name: float(np.mean(values)) for name, values in found.items()}


def of_permutations(generator, rounds):
    """Size of the tests without a normal distribution, which can only be 5 % or less."""
    draws = generator.normal(0, 1, (rounds, 2, 6))
    return {
        "flipped signs of 6, false positives": np.mean([flipped_signs(a - b).p <= 0.05 for a, b in draws]),
        "exchanged 6 and 6, false positives": np.mean([exchanged(a, b).p <= 0.05 for a, b in draws]),
    }


def of_power(generator, rounds):
    """How often the least gain is found."""
    found = {}
    for runs in (3, 6, 12):
        gain = Design(1.0).least_gain(runs)
        draws = generator.normal(gain, 1, (50 * rounds, runs))
        found[f"pairs at the least gain of {runs} runs, found"] = np.mean(
            stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05
        )
        samples = generator.normal(0, 1, (2, 50 * rounds, runs))
        samples[0] += Design(np.sqrt(2), 0.5).least_gain(runs)
        tests = stats.ttest_ind(*samples, axis=1, equal_var=False)
        found[f"samples at the least gain of {runs} runs, found"] = np.mean(tests.pvalue < 0.05)
    return found


def of_test_sets(generator, rounds, *, examples=400, runs=5):
    """New runs and new examples every time; recipes of one skill that err on different examples."""
    found = {"pairs over test sets, coverage": [], "samples over test sets, coverage": []}
    for _ in range(rounds):
        hardness, taste = generator.normal(0.8, 1, examples), generator.normal(0, 0.5, (2, 1, examples))
        luck, chance = generator.normal(0, 0.25, (2, runs, 1)), generator.normal(0, 0.4, (2, runs, examples))
        a, b = 100.0 * (hardness + taste + luck + chance > 0)
        for values, test, paired in zip(found.values(), (paired_t, welch_t), (True, False), strict=True):
            both = example_test(test(a.mean(1), b.mean(1)), a, b, paired=paired, pairs=()).any_test_set
            values.append(both.lower <= 0 <= both.upper)
    return {name: float(np.mean(values)) for name, values in found.items()}


def of_the_split(generator, rounds, *, examples=1000):
    """Coverage of the three standard deviations' intervals."""
    truth = {"batch_order": 0.5, "last_bit": 0.4}
    truth["test_set"] = 100 * np.sqrt(np.var(special.expit(generator.normal(2, 2, 2_000_000))) / examples)
    hits = {name: [] for name in truth}
    for _ in range(rounds):
        chance = special.expit(generator.normal(2, 2, examples))
        right = 100.0 * (generator.random((1, 6, examples)) < chance)
        predicted = Correctness(np.zeros(examples, int), right)
        split = variance_split(nested(generator, 6, 6, 0.5, 0.4), predicted)
        for name, value in truth.items():
            part = getattr(split, name)
            hits[name].append(part.lower <= value <= part.upper)
    return {f"{name.replace('_', ' ')}, coverage": float(np.mean(values)) for name, values in hits.items()}


def main():
    """Print the shares."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=4000)
    options = parsed(parser, rounds=4)
    generator = np.random.default_rng(20260101)
    found = {case: of_runs(generator, options.rounds, numbers) for case, numbers in CASES.items()}
    found["permutations"] = of_permutations(generator, max(1, options.rounds // 4))
    found["power"] = of_power(generator, options.rounds)
    found["5 runs on 400 examples"] = of_test_sets(generator, options.rounds)
    found["variance split of 6 x 6 runs on 1,000 examples"] = of_the_split(generator, options.rounds)
    write({case: {k: float(v) for k, v in numbers.items()} for case, numbers in found.items()}, options.json)
    if options.json != "-":
        for case, numbers in found.items():
            print(case)
            for name, share in numbers.items():
                print(f"  {name:45s} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
