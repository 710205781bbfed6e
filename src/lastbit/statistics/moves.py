"""What changes for users when a new recipe replaces an old one: what it breaks, what it mends, and in which class.

A user of the old model feels only what was right and turns wrong (negative flips: Yan et al. 2021, *Positive-Congruent
Training*, arXiv 2011.09161).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lastbit.statistics.examples import Right
from lastbit.statistics.flips import Labels
from lastbit.statistics.means import MeanTest, mean_of, satterthwaite, t_test, variance
from lastbit.statistics.multiplicity import benjamini_hochberg
from lastbit.statistics.power import SIGNIFICANCE

_FEWEST = 2  # examples of a class whose spread is known


@dataclass(frozen=True)
class Rate:
    """A share of the test examples in percent, and its 95 % interval over runs and examples."""

    percent: float
    lower: float
    upper: float


@dataclass(frozen=True)
class ClassDifference:
    """How the accuracy on one class differs between two recipes, in points: new minus old."""

    label: int
    examples: int
    difference: float
    lower: float  # 95 % over runs and examples; never a single point
    upper: float
    p: float
    p_adjusted: float  # Benjamini-Hochberg over the classes


@dataclass(frozen=True)
class Moves:
    """What changes for a user when a run of a new recipe replaces a run of an old one."""

    examples: int
    right_to_wrong: Rate
    wrong_to_right: Rate
    retrained: float  # right to wrong, in percent, by training the old recipe again
    classes: tuple[ClassDifference, ...]


def moves(old: Right, new: Right, targets: Labels, *, paired: bool) -> Moves:
    """Count what is right with the old recipe and wrong with the new one, and the reverse.

    With p_i and q_i the shares of old and new runs that are right on example i, a new run breaks what an old one had
    right with probability p_i (1 - q_i). Training the old recipe again breaks p_i (1 - p_i), which is what of it no
    change of recipe explains. Intervals are jackknife intervals over the replicates of each side and over examples; the
    three variances are added, which counts their interaction more than once, so that the intervals are rather too wide.

    Args:
        old: percent right, shape (replicates, examples), at least two replicates.
        new: the same of the new recipe.
        targets: true labels, shape (examples,).
        paired: whether old[i] and new[i] belong together.
    """
    return Moves(
        examples=len(targets),
        right_to_wrong=_rate(old, 100 - new),
        wrong_to_right=_rate(100 - old, new),
        retrained=_two_of_one(old),
        classes=tuple(_class_differences(old, new, targets, paired=paired)),
    )


def _rate(first: Right, second: Right) -> Rate:
    """Mean over examples of the product of two independent shares, in percent."""
    products = first.mean(0) * second.mean(0) / 100
    parts = np.array(
        [
            _jackknife(first @ second.mean(0) / 100 / first.shape[1]),
            _jackknife(second @ first.mean(0) / 100 / first.shape[1]),
            variance(products, 100.0) / len(products),
        ]
    )
    dofs = np.array([len(first) - 1, len(second) - 1, len(products) - 1])
    test = t_test("jackknife", mean_of(products, 100.0), float(np.sqrt(parts.sum())), satterthwaite(parts, dofs))
    if test.standard_error == 0:
        return Rate(test.difference, *_if_all_are_alike(test.difference, 0.0, 100.0, len(products)))
    return Rate(test.difference, max(0.0, test.lower), min(100.0, test.upper))


def _if_all_are_alike(value: float, least: float, largest: float, examples: int) -> tuple[float, float]:
    """95 % interval of a mean over all examples, of which n that were seen all have this value.

    A share u of others is rarely missed by n examples: (1 - u)^n = 2.5 % at its upper end, that of Clopper & Pearson
    (1934) for 0 of n. These others may have any value that there is.
    """
    unseen = 1 - (SIGNIFICANCE / 2) ** (1 / examples)
    return value - unseen * (value - least), value + unseen * (largest - value)


def _jackknife(values: Right) -> float:
    """Variance of the mean; the rate is linear in each side's replicates, so that leaving one out gives just this."""
    return variance(values, 100.0) / len(values)


def _two_of_one(runs: Right) -> float:
    """Right to wrong between two different replicates of one recipe, in percent, without bias."""
    count, share = len(runs), runs.mean(0)
    both = (count**2 * share**2 - (runs**2).sum(0)) / (count * (count - 1))  # mean of r_i r_j over i ≠ j
    return float((share - both / 100).mean())


def _class_differences(old: Right, new: Right, targets: Labels, *, paired: bool) -> list[ClassDifference]:
    """Test the difference of each class over examples, and over runs as far as they vary beyond independent errors.

    A few runs estimate the variance of one class badly, and of many classes always some as far too small. So the
    variance beyond independent errors is at least its mean over the classes.
    """
    classes = [label for label in np.unique(targets) if np.sum(targets == label) >= _FEWEST]
    sides = [new - old] if paired else [new, old]
    beyond = np.array([[_beyond_errors(side[:, targets == label]) for side in sides] for label in classes])
    beyond = np.maximum(0, np.maximum(beyond, beyond.mean(0))) if classes else beyond
    dofs = [len(side) - 1 for side in sides]
    tests = [
        _class_test((new.mean(0) - old.mean(0))[targets == label], parts, dofs)
        for label, parts in zip(classes, beyond, strict=True)
    ]
    adjusted = benjamini_hochberg(np.array([test.p for test in tests]))
    return [
        ClassDifference(
            int(label),
            int(np.sum(targets == label)),
            test.difference,
            test.lower,
            test.upper,
            test.p,
            float(p_adjusted),
        )
        for label, test, p_adjusted in zip(classes, tests, adjusted, strict=True)
    ]


def _class_test(difference: Right, beyond: Right, dofs: Sequence[int]) -> MeanTest:
    """The test from each example's difference, and the variances that the sides' runs add to its mean.

    Where all examples differ by the same, p is the level at which the interval reaches 0.
    """
    examples, size = len(difference), 100.0
    parts = np.array([variance(difference, size) / examples, *beyond])
    dof = satterthwaite(parts, np.array([examples - 1, *dofs]))
    test = t_test("two-way", mean_of(difference, size), float(np.sqrt(parts.sum())), dof)
    if test.standard_error > 0:
        return test
    lower, upper = _if_all_are_alike(test.difference, -size, size, examples)
    p = min(1.0, 2 * (size / (size + abs(test.difference))) ** examples)
    return replace(test, p=p, lower=lower, upper=upper)


def _beyond_errors(runs: Right) -> float:
    """Variance that runs give their mean, less what errors that are independent from example to example would give."""
    residual = runs - runs.mean(0) - runs.mean(1, keepdims=True) + runs.mean()
    count, examples = runs.shape
    independent = (residual**2).sum() / ((count - 1) * (examples - 1)) / examples
    return float((variance(runs.mean(1), 100.0) - independent) / count)
