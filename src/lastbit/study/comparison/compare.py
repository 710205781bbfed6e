"""`compare`: from two recipes' runs to their comparison."""

import numpy as np

from lastbit.errors import LastbitTypeError
from lastbit.statistics.examples import Correctness, ExampleTest, McNemar, Right, example_test, mcnemar
from lastbit.statistics.means import MeanTest
from lastbit.statistics.spread import least_difference, noise_spread, pooled
from lastbit.study.comparison.comparison import Comparison
from lastbit.study.comparison.doubts import check_comparable, doubts
from lastbit.study.comparison.read import Runs, read_sides
from lastbit.study.comparison.replicates import Replicates, replicates, single_run_design
from lastbit.study.comparison.side import Side

_AGREES = 0.01  # points: a training may compute its accuracy in single precision


def compare(a: Runs, b: Runs, *others: Runs, metric: str | None = None, paired: bool | None = None) -> Comparison:
    """Compare the final metric of two recipes' runs, and say what the difference is worth.

    Runs that share a batch order are not independent: the noises of each seed are averaged, and seeds are what is
    counted; a seed whose runs are another one's bit for bit counts once with it. Two studies (or two dictionaries) with
    the same seeds are compared pair by pair, everything else by Welch's test. Diverged and unfinished runs (NaN, inf
    and None among plain numbers) count in no average and are named.

    Args:
        a: a study, its directory, its `Results`; or final metrics as numbers, of shape (seeds,) or (noises, seeds), or
            by seed, as in {1: 0.93, 2: 0.94}.
        b: the other recipe's, likewise; the difference is a minus b.
        others: none: two recipes are compared.
        metric: a name given to `log`, by default the one that the studies are about; plain numbers have none.
        paired: plain numbers carry no seeds, so pairs are only formed where True says that they belong together, in
            order; False never forms pairs.

    Raises:
        LastbitError: a side is no study and no numbers, the same study twice, another test set, no such metric, one run
            only, percent against fractions.
        LastbitTypeError: more than two recipes.
    """
    if others:
        raise LastbitTypeError(
            f"compare takes two recipes and was given {2 + len(others)}: compare them two by two, and ask of each pair "
            "for p below 0.05 divided by the number of pairs"
        )
    first, second = read_sides(a, b, metric)
    check_comparable(first, second)
    values = replicates(first, second, paired=paired)
    paired_test, unpaired_test = values.paired_test(), values.unpaired_test()
    test = unpaired_test if paired_test is None else paired_test
    compared = next((side.study.metric for side in (first, second) if side.study is not None), None)
    return Comparison(
        metric="" if compared is None else compared.name,
        label="" if compared is None else compared.label,
        unit="points" if compared is not None and compared.is_percentage else "",
        a=first,
        b=second,
        doubts=(*doubts(first, second), *_limits(values, test)),
        replicates=values,
        paired=paired_test,
        unpaired=unpaired_test,
        permutation=values.permutation_test(),
        examples=_by_example(first, second, values, test),
        noise_floor=_noise_floor(first, second),
        design=single_run_design(first, second, values),
    )


def _limits(values: Replicates, test: MeanTest) -> list[str]:
    """What the interval of the difference leaves out."""
    limits = []
    if values.only_seed is not None:
        limits.append(
            f"All runs compared share one batch order (seed {values.only_seed}); the interval does not cover other "
            "batch orders."
        )
    if test.standard_error == 0 and test.difference != 0 and not values.is_constant:
        limits.append("The difference does not vary at all, so it has no interval; p is the permutation test's.")
    return limits


def _noise_floor(a: Side, b: Side) -> float | None:
    if any(side.study is not None and side.study.controls and not side.study.controls.passed for side in (a, b)):
        return None  # it contains more than the last bit's noise
    spread = pooled(estimate for side in (a, b) if (estimate := noise_spread(side.values)) is not None)
    return None if spread is None else least_difference(spread)


def _by_example(a: Side, b: Side, values: Replicates, test: MeanTest) -> ExampleTest | None:
    """The test of single examples; None without predictions and true labels of every run that counts."""
    if a.study is None or b.study is None:
        return None
    predicted = a.study.grid.correctness(), b.study.grid.correctness()
    if predicted[0] is None or predicted[1] is None or len(predicted[0].targets) < 2:
        return None
    if not (_is_share_right(a, predicted[0]) and _is_share_right(b, predicted[1])):
        return None
    right = (
        _replicated(a, predicted[0], values.seeds_a, values.only_seed),
        _replicated(b, predicted[1], values.seeds_b, values.only_seed),
    )
    if len(right[0]) != len(values.a) or len(right[1]) != len(values.b):
        return None
    return example_test(test, *right, paired=values.paired, pairs=_pairs(a, predicted[0], b, predicted[1]))


def _is_share_right(side: Side, predicted: Correctness) -> bool:
    """Whether the metric is the percentage of right predictions, as far as both are stored."""
    shares = predicted.right.mean(2)
    both = ~np.isnan(shares) & ~np.isnan(side.values)
    return bool(np.allclose(shares[both], side.values[both], rtol=0, atol=_AGREES))


def _replicated(side: Side, predicted: Correctness, seeds: tuple[int, ...], only_seed: int | None) -> Right:
    """Percent right on each example, for each replicate; rows are missing where a run kept no predictions."""
    columns = [side.seeds.index(seed) for seed in seeds]
    if only_seed is not None:
        return predicted.at_seed(columns[0])
    kept = ~np.isnan(predicted.right[..., 0])
    complete = [j for j in columns if np.array_equal(kept[:, j], ~np.isnan(side.values[:, j]))]
    return np.asarray(np.nanmean(predicted.right[:, complete], axis=0))


def _pairs(a: Side, right_a: Correctness, b: Side, right_b: Correctness) -> tuple[McNemar, ...]:
    """McNemar's test of every two runs with the same seed and noise."""
    tests = []
    for seed in (seed for seed in a.seeds if seed in b.seeds):
        for noise in (noise for noise in a.noises if noise in b.noises):
            first = right_a.right[a.noises.index(noise), a.seeds.index(seed)]
            second = right_b.right[b.noises.index(noise), b.seeds.index(seed)]
            if not np.isnan([first, second]).any():
                tests.append(mcnemar(first > 0, second > 0, seed=seed, noise=noise))
    return tuple(tests)
