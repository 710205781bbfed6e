"""Which test examples and classes change their predictions from run to run of one recipe.

Tests over classes are many, and their p values are adjusted (Benjamini & Hochberg 1995). Tests of each class against
all others depend on each other negatively, which no proof of that procedure covers. In simulations in which no class
differs, at most 5 % of the tables name one.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.statistics.examples import Right
from lastbit.statistics.multiplicity import benjamini_hochberg

Labels = NDArray[np.int64]
MISSING_LABEL = -1  # in a table of labels, where a run kept no predictions

_NO_SKEWNESS = 1e-5  # below it the law is normal to all digits, and its shape too large to compute with


@dataclass(frozen=True)
class ClassChurn:
    """How often two runs disagree on the test examples of one class, beside those of all other classes."""

    label: int
    examples: int
    churn: float  # percent of pairs of runs, mean over the examples
    others: float  # the same of all other classes' examples
    p: float  # two-sided, of a permutation test over examples
    p_adjusted: float  # Benjamini-Hochberg over the classes


@dataclass(frozen=True)
class FlippedExample:
    """A test example on whose label the runs disagree."""

    index: int  # in the test set
    target: int
    churn: float  # percent of pairs of runs that differ
    votes: tuple[tuple[int, int], ...]  # label and how many runs gave it, the most frequent first


def example_churn(labels: Labels, *, axis: int) -> Right:
    """Percent of pairs of runs that give an example different labels, shape (examples,).

    Pairs differ in one thing: they lie along one axis of the table. The mean over the examples is the mean churn.

    Args:
        labels: predicted, shape (noises, seeds, examples); `MISSING_LABEL` for a run without predictions.
        axis: along which runs are paired, as in `lastbit.statistics.spread`.
    """
    groups = np.moveaxis(labels, axis, 0)  # (runs, groups, examples)
    runs = (groups[..., :1] != MISSING_LABEL).sum(0)  # (groups, 1)
    alike = np.zeros(groups.shape[1:])
    for label in np.unique(groups[groups != MISSING_LABEL]):
        count = (groups == label).sum(0)
        alike += count * (count - 1) / 2
    pairs = runs * (runs - 1) / 2
    return np.asarray(100 * (pairs - alike).sum(0) / pairs.sum()) if pairs.sum() else np.full(labels.shape[-1], np.nan)


def churn_by_class(churn: Right, targets: Labels) -> list[ClassChurn]:
    """Churn of each class, and whether it is other than that of the rest.

    The test is a permutation test: how often do so many examples, drawn from the whole test set, churn as much or as
    little? If churn has nothing to do with the class, the class's examples are such a draw. Churn is skewed, since most
    examples never flip; Welch's test would call some class of ten different in one table of five where none is.

    Args:
        churn: percent, shape (examples,), as `example_churn` gives it.
        targets: true labels, shape (examples,).
    """
    classes, counts = np.unique(targets, return_counts=True)
    sums = np.array([churn[targets == label].sum() for label in classes])
    values = [_permutation_p(churn, int(count), float(own)) for count, own in zip(counts, sums, strict=True)]
    others = [
        float((churn.sum() - own) / (len(churn) - count)) if count < len(churn) else np.nan
        for own, count in zip(sums, counts, strict=True)
    ]
    columns = zip(classes, counts, sums / counts, others, values, benjamini_hochberg(np.array(values)), strict=True)
    return [
        ClassChurn(int(label), int(count), float(mean), rest, p, float(adjusted))
        for label, count, mean, rest, p, adjusted in columns
    ]


def _permutation_p(churn: Right, count: int, own: float) -> float:
    """Two-sided p of the sum of `count` examples among all draws of so many without replacement.

    The sum's distribution is Pearson's type III with its exact mean, variance and skewness, which is close to that of
    drawing (the tests compare them) and takes no time.
    """
    size, rest = len(churn), len(churn) - count
    deviations = churn - churn.mean()
    square = (deviations**2).mean()
    if min(count, rest) == 0 or size < 3 or square == 0:
        return 1.0
    score = (own - count * churn.mean()) / np.sqrt(count * rest / (size - 1) * square)
    skewness = (deviations**3).mean() / square**1.5 * (rest - count) / (size - 2) * np.sqrt((size - 1) / (count * rest))
    tail = min(_pearson3_below(score, skewness), _pearson3_below(-score, -skewness))
    return float(min(1.0, 2 * max(tail, 1 / comb(size, count))))  # no draw is rarer than a single one


def _pearson3_below(score: float, skewness: float) -> float:
    """P(X ≤ score) of Pearson's type III with mean 0 and variance 1, a shifted gamma variable of shape 4 / skewness².

    It is written out since scipy.stats takes over a second to import, which every study would pay for at its end.
    """
    if abs(skewness) < _NO_SKEWNESS:
        return float(special.ndtr(score))
    shape = 4 / skewness**2
    place = max(0.0, shape + np.sign(skewness) * score * np.sqrt(shape))
    return float(special.gammainc(shape, place) if skewness > 0 else special.gammaincc(shape, place))


def most_flipped(labels: Labels, targets: Labels, churn: Right, *, count: int) -> list[FlippedExample]:
    """The examples that change their label most, the worst first; none that all runs agree on.

    Args:
        labels: predicted, shape (noises, seeds, examples).
        targets: true, shape (examples,).
        churn: percent, shape (examples,).
        count: how many at most.
    """
    worst = [int(i) for i in np.argsort(-churn, kind="stable")[:count] if churn[i] > 0]
    return [FlippedExample(i, int(targets[i]), float(churn[i]), _votes(labels[..., i])) for i in worst]


def _votes(labels: Labels) -> tuple[tuple[int, int], ...]:
    given, counts = np.unique(labels[labels != MISSING_LABEL], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return tuple((int(given[i]), int(counts[i])) for i in order)
