"""What counts as one repetition: a seed, since runs that share one are not independent of each other.

With y[k, s] = μ + S_s + N_ks the runs of one seed have S_s in common. Thirty-six runs of six seeds are therefore not
thirty-six repetitions; taken as such they would find a difference where there is none in about one comparison of three.
The mean over a seed's runs is one value, and these are independent, so that t tests of them are exact.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from lastbit.errors import LastbitError
from lastbit.statistics.examples import Correctness, McNemar, Right, mcnemar
from lastbit.statistics.flips import Labels
from lastbit.statistics.means import (
    MeanTest,
    PermutationTest,
    exchanged,
    flipped_signs,
    paired_t,
    t_test,
    variance,
    welch_t,
)
from lastbit.statistics.power import Design
from lastbit.statistics.single_runs import averaged_away, single_runs_design
from lastbit.statistics.spread import Table
from lastbit.study.comparison.side import Side

_AGREES = 0.01  # points: a training may compute its accuracy in single precision


@dataclass(frozen=True)
class Replicates:
    """Independent values of each side."""

    a: Table  # (n,) means over the noises of each seed; single runs where there is but one seed
    b: Table  # (m,)
    seeds_a: tuple[int, ...]  # behind `a`, in its order
    seeds_b: tuple[int, ...]
    paired: bool  # whether a[i] and b[i] share their seed
    only_seed: int | None = None  # the seed, where all runs share one

    @property
    def is_constant(self) -> bool:
        """Whether the values of neither side vary, which independent runs hardly do."""
        return bool(np.ptp(self.a) == 0 and np.ptp(self.b) == 0)

    def unpaired_test(self) -> MeanTest:
        """Welch's t test."""
        return welch_t(self.a, self.b)

    def paired_test(self) -> MeanTest | None:
        """Student's t test of the differences; None where no pairs are known."""
        return paired_t(self.a, self.b) if self.paired else None

    def permutation_test(self) -> PermutationTest:
        """The test without a normal distribution."""
        return flipped_signs(self.a - self.b) if self.paired else exchanged(self.a, self.b)


def replicates(a: Side, b: Side, *, paired: bool | None) -> Replicates:
    """Form the independent values of both sides.

    Args:
        a: one recipe's runs.
        b: the other's.
        paired: None for pairs where two studies, or two dictionaries, have the same seeds; True and False insist.

    Raises:
        LastbitError: too few runs, or pairs are asked for where the seeds are not the same.
    """
    means = a.seed_means(), b.seed_means()
    for side in (a, b):
        if not side.finished:
            raise LastbitError(f"{side.name} has no finished run to compare: {'; '.join(side.lost) or 'it has none'}")
    if paired:
        refuse_other_seeds(a, b)
    if min(map(len, means)) < 2:
        return _at_one_seed(a, b)
    known = a.has_seeds and b.has_seeds and set(a.seeds) == set(b.seeds)
    if not (known if paired is None else paired):
        return Replicates(_values(means[0]), _values(means[1]), tuple(means[0]), tuple(means[1]), paired=False)
    common = tuple(seed for seed in means[0] if seed in means[1])
    if len(common) < 2:
        raise LastbitError(f"only {len(common)} pair of seeds has a finished run on both sides: at least 2 are needed")
    first, second = (np.array([side[seed] for seed in common]) for side in means)
    return Replicates(first, second, common, common, paired=True)


def refuse_other_seeds(a: Side, b: Side) -> None:
    """Refuse to form pairs where seeds, or the numbers of plain runs, are not the same.

    Raises:
        LastbitError: they are not.
    """
    if set(a.seeds) != set(b.seeds):
        raise LastbitError(
            f"pairs need the same seeds on both sides: {a.name} has {_listed(a.seeds)}, {b.name} has {_listed(b.seeds)}"
        )


def single_run_design(a: Side, b: Side, values: Replicates) -> Design:
    """What runs with different seeds could show, by the spread of these runs."""
    alone = values.only_seed is not None  # the values are single runs
    lost = (0.0, 0.0) if alone else (_averaged_away(a, values.seeds_a), _averaged_away(b, values.seeds_b))
    return single_runs_design(values.a, values.b, lost, paired=values.paired)


@dataclass(frozen=True)
class ComparedExamples:
    """Percent right of each replicate on each example of the test set that both sides share."""

    targets: Labels  # (examples,)
    a: Right  # (replicates, examples)
    b: Right
    pairs: tuple[McNemar, ...]  # of every two runs with the same seed and noise


def compared_examples(a: Side, b: Side, values: Replicates) -> ComparedExamples | None:
    """The examples behind a comparison; None without predictions and true labels of every run that counts.

    Args:
        a: one recipe's runs.
        b: the other's.
        values: their independent values.
    """
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
    return ComparedExamples(predicted[0].targets, *right, _pairs(a, predicted[0], b, predicted[1]))


def _at_one_seed(a: Side, b: Side) -> Replicates:
    """Single runs at the first seed at which both sides have two."""
    for seed in [seed for seed in a.seed_means() if seed in b.seed_means()]:
        first, second = a.at_seed(seed), b.at_seed(seed)
        if min(len(first), len(second)) >= 2:
            return Replicates(first, second, (seed,), (seed,), paired=False, only_seed=seed)
    short, other = (a, b) if len(a.finished) < 2 else (b, a)
    raise LastbitError(
        f"{short.name} has one finished {'run' if short.runs == 1 else 'seed'} only, which tells nothing about how far "
        f"its runs spread: at least 2 seeds are needed on each side{_alone(other)}"
        f"{f'. {short.name}: {short.doubt}' if short.doubt else ''}"
    )


def _alone(side: Side) -> str:
    """The mean of one side alone, which is all that can be said beside a single published number."""
    means = _values(side.seed_means())
    varies = variance(means) if len(means) > 1 else 0.0
    if varies == 0:
        return ""
    mean = t_test("t", float(np.mean(means)), sqrt(varies / len(means)), len(means) - 1)
    return (
        f". By itself, the mean of {side.name} is {mean.difference:.5g} (95 % interval {mean.lower:.5g} to "
        f"{mean.upper:.5g}, {len(means)} seeds)"
    )


def _averaged_away(side: Side, seeds: tuple[int, ...]) -> float:
    repeats = side.repeats()
    return averaged_away(repeats.values(), [len(repeats[seed]) for seed in seeds])


def _values(means: dict[int, float]) -> Table:
    return np.array(list(means.values()))


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))


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
