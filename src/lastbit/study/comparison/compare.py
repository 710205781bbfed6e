"""`compare`: from two recipes' runs to their comparison."""

import numpy as np

from lastbit.errors import LastbitTypeError
from lastbit.statistics.examples import Correctness, ExampleTest, McNemar, Right, example_test, mcnemar
from lastbit.statistics.means import MeanTest
from lastbit.statistics.spread import least_difference, noise_spread, pooled
from lastbit.study.comparison.comparison import Comparison
from lastbit.study.comparison.doubts import check_comparable, doubts
from lastbit.study.comparison.replicates import Replicates, replicates, single_run_design
from lastbit.study.comparison.side import Side
from lastbit.study.comparison.sides import Runs, sides

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
        LastbitError: one is no study, the same study twice, another test set, no such metric, one run only, percent
            against fractions.
        LastbitTypeError: more than two recipes.
    """
    if others:
        raise LastbitTypeError(
            f"compare takes two recipes and was given {2 + len(others)}: compare them two by two, and ask of each pair "
            "for p below 0.05 divided by the number of pairs"
        )
    one, other = sides(a, b, metric)
    check_comparable(one, other)
    found = replicates(one, other, paired=paired)
    paired_test, unpaired_test = found.paired_test(), found.unpaired_test()
    test = unpaired_test if paired_test is None else paired_test
    told = next((side.study.metric for side in (one, other) if side.study is not None), None)
    return Comparison(
        metric="" if told is None else told.name,
        label="" if told is None else told.label,
        unit="points" if told is not None and told.is_percentage else "",
        a=one,
        b=other,
        doubts=(*doubts(one, other), *_limits(found, test)),
        replicates=found,
        paired=paired_test,
        unpaired=unpaired_test,
        permutation=found.permutation_test(),
        examples=_by_example(one, other, found, test),
        noise_floor=_noise_floor(one, other),
        design=single_run_design(one, other, found),
    )


def _limits(found: Replicates, test: MeanTest) -> list[str]:
    said = []
    if found.only_seed is not None:
        said.append(
            f"All runs compared share one batch order (seed {found.only_seed}); what another would do is not in the "
            "interval."
        )
    if test.standard_error == 0 and test.difference != 0 and not found.is_constant:
        said.append("The difference does not vary at all, so it has no interval; p is the permutation test's.")
    return said


def _noise_floor(a: Side, b: Side) -> float | None:
    if any(side.study is not None and side.study.controls and not side.study.controls.passed for side in (a, b)):
        return None  # something else than the last bit is in it
    spread = pooled(found for side in (a, b) if (found := noise_spread(side.values)) is not None)
    return None if spread is None else least_difference(spread)


def _by_example(a: Side, b: Side, found: Replicates, test: MeanTest) -> ExampleTest | None:
    if a.study is None or b.study is None:
        return None
    one, other = a.study.grid.correctness(), b.study.grid.correctness()
    if one is None or other is None or not (_is_share_right(a, one) and _is_share_right(b, other)):
        return None
    right = _replicated(a, one, found.seeds_a, found), _replicated(b, other, found.seeds_b, found)
    complete = right[0].shape[0] == len(found.a) and right[1].shape[0] == len(found.b)
    if not complete or len(one.targets) < 2:
        return None
    return example_test(test, *right, paired=found.paired, pairs=_pairs(a, one, b, other))


def _is_share_right(side: Side, predicted: Correctness) -> bool:
    """Whether the metric is the percentage of right predictions, as far as both are stored."""
    shares = predicted.right.mean(2)
    both = ~np.isnan(shares) & ~np.isnan(side.values)
    return bool(np.allclose(shares[both], side.values[both], rtol=0, atol=_AGREES))


def _replicated(side: Side, predicted: Correctness, seeds: tuple[int, ...], found: Replicates) -> Right:
    """Percent right on each example, for each replicate; rows are missing where a run kept no predictions."""
    columns = [side.seeds.index(seed) for seed in seeds]
    if found.only_seed is not None:
        return predicted.at_seed(columns[0])
    kept = ~np.isnan(predicted.right[..., 0])
    whole = [j for j in columns if np.array_equal(kept[:, j], ~np.isnan(side.values[:, j]))]
    return np.asarray(np.nanmean(predicted.right[:, whole], axis=0))


def _pairs(a: Side, one: Correctness, b: Side, other: Correctness) -> tuple[McNemar, ...]:
    places = [(seed, noise) for seed in a.seeds if seed in b.seeds for noise in a.noises if noise in b.noises]
    found = []
    for seed, noise in places:
        right = [
            predicted.right[side.noises.index(noise), side.seeds.index(seed)]
            for side, predicted in ((a, one), (b, other))
        ]
        if not np.isnan(right).any():
            found.append(mcnemar(right[0] > 0, right[1] > 0, seed=seed, noise=noise))
    return tuple(found)
