"""Is a spread of accuracy split into quality and luck without bias, and do the intervals hold? And where do they break?

Studies are simulated from a model in which the spread of quality is known: run (k, s) is right on example i where
h_i + u_is + e_iks + (what its seed and its last bit add to its quality) > 0, with normal terms. Every study draws new
examples and new runs. Its accuracy on an unlimited test set is a normal distribution function, so that the true spreads
follow by quadrature. The second part violates one assumption at a time.

    python benchmarks/quality_or_luck.py [--rounds 4000] [--smoke] [--json FILE|-]
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special

from lastbit.statistics.examples import Correctness
from lastbit.statistics.luck import independent_errors, luck_if_calibrated
from lastbit.statistics.quality import quality
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS
from options import parsed, parser_of, write

SPREADS = (0, 0.05, 0.1, 0.2, 0.5)  # points, of the last bit alone and of the seed alone
RUNS = {"6 x 6 runs": (6, 6), "3 x 3 runs": (3, 3)}
EXAMPLES = 2000
AXES = {"last bit": OVER_NOISES, "batch order": OVER_SEEDS}
MEAN, SPREAD, TASTE = 11.0, 8.0, 1.0  # of h_i, and of u_is; that of e_iks is 1
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Model:
    """What seed and last bit add to the quality, in units of e_iks, and the mean hardness."""

    seed: float = 0.0
    last_bit: float = 0.0
    mean: float = MEAN

    def accuracy(self, better):
        """Percent right on an unlimited test set, of a run that is better by so much."""
        return 100 * special.ndtr((self.mean + better) / np.sqrt(SPREAD**2 + TASTE**2 + 1))

    def truth(self):
        """True spreads of quality in points: within seeds, and at a fixed noise."""
        accuracy = self.accuracy(self.seed * NODES[:, None] + self.last_bit * NODES)
        of_seed = accuracy @ WEIGHTS
        mean = of_seed @ WEIGHTS
        whole = WEIGHTS @ (accuracy - mean) ** 2 @ WEIGHTS
        return {
            "last bit": float(np.sqrt(max(0, whole - (of_seed - mean) ** 2 @ WEIGHTS))),
            "batch order": float(np.sqrt(whole)),
        }

    def right(self, generator, noises, seeds, examples, quality=None):
        """Percent right, shape (noises, seeds, examples)."""
        if quality is None:
            quality = self.seed * generator.standard_normal((1, seeds)) + self.last_bit * generator.standard_normal(
                (noises, seeds)
            )
        hard = self.mean + SPREAD * generator.standard_normal(examples, dtype=np.float32)
        taste = TASTE * generator.standard_normal((seeds, examples), dtype=np.float32)
        chance = generator.standard_normal((noises, seeds, examples), dtype=np.float32)
        return 100.0 * (chance + taste + hard > -quality[..., None])


def with_spread(std, mean=MEAN):
    """The model whose last bit and whose seed each give this spread of quality, in points."""
    model = Model(std, std, mean)
    for _ in range(20 if std else 0):
        truth = model.truth()
        alone = np.sqrt(truth["batch order"] ** 2 - truth["last bit"] ** 2)
        model = Model(model.seed * std / alone, model.last_bit * std / truth["last bit"], mean)
    return model


def judged(draw, truth, rounds, axes=tuple(AXES)):
    """Bias and coverage over studies that `draw` makes, by source."""
    found = {name: [] for name in axes}
    for _ in range(rounds):
        right = draw()
        predicted = Correctness(np.zeros(right.shape[-1], int), right)
        for name, estimates in found.items():
            estimates.append(quality(predicted, right.mean(-1), axis=AXES[name]))
    return {name: summary(estimates, truth[name]) for name, estimates in found.items()}


def summary(estimates, truth):
    """What many estimates of one true spread are like."""
    variances = np.array([estimate.variance for estimate in estimates])
    error = variances.std(ddof=1) / np.sqrt(len(variances))
    covered = [estimate.lower <= truth <= estimate.upper for estimate in estimates]
    return {
        "true spread": truth,
        "luck": float(np.sqrt(np.mean([estimate.luck**2 for estimate in estimates]))),
        "spread on the test set": float(np.sqrt(np.mean([estimate.observed**2 for estimate in estimates]))),
        "mean estimate of the variance": float(variances.mean()),
        "bias in standard errors": float((variances.mean() - truth**2) / error) if error else 0.0,
        "negative": float(np.mean(variances < 0)),
        "coverage": float(np.mean(covered)),
        "zero excluded": float(np.mean([estimate.shown for estimate in estimates])),
        "contested examples": float(np.median([estimate.contested for estimate in estimates])),
        "median upper end": float(np.median([estimate.upper for estimate in estimates])),
    }


def of_known_quality(generator, rounds):
    """Every true spread with every number of runs."""
    found = {}
    for runs, shape in RUNS.items():
        for std in SPREADS:
            model = with_spread(std)
            found[f"{runs}, {std} points"] = judged(
                partial(model.right, generator, *shape, EXAMPLES), model.truth(), rounds
            )
    return found


def of_few_examples(generator, rounds):
    """Test sets so small, or networks so good, that few examples set runs apart; 6 x 6 runs."""
    found = {}
    for mean, accuracy in ((MEAN, "91 %"), (20.0, "99 %")):
        for examples in (50, 200, 1000):
            for std in (0, 0.2):
                model = with_spread(std, mean)
                found[f"{examples} examples, accuracy {accuracy}, {std} points"] = judged(
                    partial(model.right, generator, 6, 6, examples), model.truth(), rounds
                )
    return found


def of_copies(generator, rounds):
    """No spread of quality, but every example of the test set is there several times; 6 x 6 runs."""
    model = Model()
    found = {}
    for copies in (1, 2, 5, 20):

        def draw(copies=copies):
            return np.repeat(model.right(generator, 6, 6, EXAMPLES // copies), copies, axis=-1)

        found[f"each example {copies} times"] = judged(draw, model.truth(), rounds)
    return found


def of_unlike_runs(generator, rounds):
    """Runs that are not exchangeable, or whose quality is far from normal; 6 x 6 runs."""
    model, step = Model(), with_spread(0.5).last_bit
    loss = float(model.accuracy(0) - model.accuracy(-4 * step))

    def one_noise():
        return model.right(
            generator, 6, 6, EXAMPLES, -4 * step * np.repeat([[1.0], [0], [0], [0], [0], [0]], 6, axis=1)
        )

    def rare_failures():
        return model.right(generator, 6, 6, EXAMPLES, -4 * step * (generator.random((6, 6)) < 0.05))

    # One noise of six differs from the five others: the variance over noises, and that of a coin that falls so.
    truths = {"last bit": loss * np.sqrt(1 / 6)}, {"last bit": loss * np.sqrt(0.05 * 0.95)}
    return {
        f"one noise of six always costs {loss:.1f} points": judged(one_noise, truths[0], rounds, ("last bit",)),
        f"one run of 20 loses {loss:.1f} points": judged(rare_failures, truths[1], rounds, ("last bit",)),
    }


def of_calibration(generator, *, examples=1_000_000, runs=20):
    """Predicted √(error / 2n) over what independent errors give, for votes that are calibrated and that are not.

    Of the examples whose class gets a share q of the votes of all runs, a share q^t / (q^t + (1 - q)^t) belongs to it.
    """
    found = {}
    for t, name in ((1.0, "calibrated"), (0.5, "too sure, t = 1/2"), (2.0, "not sure enough, t = 2")):
        votes = generator.beta(0.3, 0.3, examples)
        labels = generator.random(examples) < votes**t / (votes**t + (1 - votes) ** t)
        chance = np.where(labels, votes, 1 - votes)
        right = 100.0 * (generator.random((runs, 1, examples)) < chance)
        luck = np.sqrt(independent_errors(right, axis=OVER_NOISES))
        found[name] = luck_if_calibrated(float(100 - right.mean()), examples) / float(luck)
    return found


def main():
    """Print the shares."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=4000)
    options = parsed(parser, rounds=8)
    generator = np.random.default_rng(20260101)
    fewer = max(4, options.rounds // 4)
    found = {
        "known quality": of_known_quality(generator, options.rounds),
        "few examples": of_few_examples(generator, fewer),
        "copies in the test set": of_copies(generator, fewer),
        "unlike runs": of_unlike_runs(generator, fewer),
    }
    calibration = of_calibration(generator, examples=1_000_000 if options.rounds > 100 else 10_000)
    write({**found, "error/2n over luck": calibration}, options.json)
    if options.json != "-":
        for part, cases in found.items():
            print(part)
            for case, sources in cases.items():
                for source, judged_by in sources.items():
                    print(
                        f"  {f'{case}, {source}':58s} bias {judged_by['bias in standard errors']:+5.1f} errors, "
                        f"covers {100 * judged_by['coverage']:5.1f} %, excludes 0 "
                        f"{100 * judged_by['zero excluded']:5.1f} %, luck {judged_by['luck']:.3f}"
                    )
        for name, ratio in calibration.items():
            print(f"√(error/2n) over luck, {name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
