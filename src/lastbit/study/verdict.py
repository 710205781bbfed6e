"""What a study says, in sentences with numbers: doubts first, then how far the noise moves the metric."""

from collections.abc import Iterator
from dataclasses import dataclass

from lastbit.report.numbers import capital, number, percent, scientific
from lastbit.statistics.quality import LESS_THAN_LUCK, Quality
from lastbit.statistics.spread import Share, Spread, least_difference
from lastbit.study.contributions import Contributions
from lastbit.study.controls import Controls, random_evaluation
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.repetitions import Repetitions
from lastbit.study.verdict_on_sources import verdict_on_sources

ANY_SEED = "the seed"  # of a training that does not say what its seed decides


@dataclass(frozen=True)
class Basis:
    """What the verdict rests on; spreads are in the metric's unit."""

    source: str  # what the runs of a seed differ in: `last-bit noise`, `summation order`
    controls: Controls | None  # None where they were not run
    noise: Spread | None  # by that source
    seed: Spread | None  # by what another seed changes
    share: Share | None  # noise over seed
    largest_distance: float | None  # the largest finite RelL1 of any two compared runs; None where none was measured
    diverged: int  # runs
    failed: int  # runs
    fingerprints: int = 1  # different ones; one is as it should be
    differing: tuple[str, ...] = ()  # fields of the fingerprints
    groups: tuple[tuple[int, ...], ...] = ()  # the seeds of each kind of numerics that gives other bits
    metric: Metric = TEST_ACCURACY
    decimals: int = 2  # of a number of it
    seed_decides: str = ANY_SEED
    incomparable: tuple[str, ...] = ()  # pairs of runs whose weights have other shapes, and in what
    doubts: tuple[str, ...] = ()  # why runs may not have started alike, each with the run's label
    quality: Quality | None = None  # of `noise`, on an unlimited test set; None: not known
    seed_quality: Quality | None = None  # of `seed`
    churn: float | None = None  # mean, in percent, between runs of a seed
    measured: bool = True  # whether any run has a value of the metric
    logged: tuple[str, ...] = ()  # names of what the runs logged instead
    constant: float | None = None  # its value, where it is the same in all runs of several seeds
    repetitions: Repetitions | None = None  # what the runs of different seeds share; None where it was not looked at
    contributions: Contributions | None = None  # of each source, where several vary

    def number(self, value: float) -> str:
        """A value or a difference of the metric, without its unit."""
        return number(value, self.decimals)

    def difference(self, value: float) -> str:
        """A difference of the metric with its unit."""
        return self.number(value) + self.metric.unit


def verdict(basis: Basis) -> str:
    """Say how much the noise moves the metric, and what that makes of small differences.

    Doubts come first: controls that failed or were not run, a random evaluation, trials with different numerics, seeds
    that change nothing, a metric that never varies. Where runs that must agree do not, no number is given. Runs that
    diverged or failed are counted.
    """
    return " ".join(sentence for sentence in _sentences(basis) if sentence)


def _sentences(basis: Basis) -> Iterator[str]:
    controls, random = basis.controls, _random(basis)
    if basis.doubts:
        more = f" ({len(basis.doubts) - 1} more such runs)" if len(basis.doubts) > 1 else ""
        yield f"Runs may not have started alike: {basis.doubts[0]}{more}."
    if controls is not None and not controls.passed:
        yield f"Not to be trusted: {controls.complaint}."
    else:
        yield _mixed(basis)
    if controls is None:
        yield "Without controls: other sources of noise are not ruled out."
        yield random
    else:
        yield capital(controls.random_metrics)
    if basis.repetitions is not None:
        several = basis.contributions
        yield basis.repetitions.doubt if several is None else basis.repetitions.doubt_of_cells(several.design)
    if basis.constant is not None:
        yield (
            f"{capital(basis.metric.label)} is {basis.number(basis.constant)} in every run of every "
            "seed: it is at a limit, or not the number you mean, and shows nothing of what moves it."
        )
    if not random if controls is None else controls.passed:
        yield _finding(basis)
    for count, fate in ((basis.diverged, "diverged"), (basis.failed, "failed")):
        if count:
            yield f"{count} run(s) {fate} and count in no average."
    if basis.incomparable:
        yield (
            f"The weights of {len(basis.incomparable)} pair(s) of runs cannot be compared, the first "
            f"{basis.incomparable[0]}."
        )
    if controls is not None:
        yield controls.note


def _random(basis: Basis) -> str:
    """The doubt that runs with equal weights raise where no controls did: with controls, noise may miss the weights."""
    repetitions = basis.repetitions
    if repetitions is None or not repetitions.random or basis.controls is not None:
        return ""
    return (
        f"Not to be trusted: two runs ({repetitions.random_runs}) have the same weights bit for bit. "
        f"{random_evaluation(repetitions.random)}."
    )


def _mixed(basis: Basis) -> str:
    """The doubt that trials with different numerics raise."""
    fields = ", ".join(basis.differing)
    if len(basis.groups) > 1:
        first, *rest = (f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" for seeds in basis.groups)
        differing = f" (they differ in {fields})" if fields else ""
        return (
            f"{capital(first)} ran with different numerics than {' and than '.join(rest)}: within a seed only the "
            f"noise differs, and the spread over seeds includes that change{differing}."
        )
    if basis.fingerprints < 2:
        return ""
    return (
        f"Trials ran with {basis.fingerprints} different numerics, which differ in {fields} and may move results by "
        "more than the noise does."
    )


def _finding(basis: Basis) -> str:
    if not basis.measured:
        return _weights_only(basis)
    if basis.contributions is not None:
        alike = basis.repetitions is not None and bool(basis.repetitions.twins)
        return verdict_on_sources(
            basis.contributions, basis.metric, basis.decimals, churn=basis.churn, seen_alike=alike
        )
    if basis.noise is None:
        return f"Too few finished runs to say how far {basis.source} moves {basis.metric.label}."
    if basis.noise.std == 0:
        return _unmoved(basis)
    floor = basis.difference(least_difference(basis.noise))
    single = f"between two single runs, differences below the noise floor of {floor} mean nothing"
    if basis.quality is None:
        unknown = " What the finite test set alone would give is not known." if basis.metric.has_test_set else ""
        return f"{_moved(basis, basis.noise)}; {single}.{unknown}"
    return f"{_on_unlimited(basis, basis.quality)} {_on_these(basis, basis.quality, basis.noise)} {capital(single)}."


def _moved(basis: Basis, noise: Spread) -> str:
    """How far the noise moves the metric, where it is not known how much of that is quality."""
    moved = (
        f"{capital(basis.source)} moves {basis.metric.label} by {basis.difference(noise.std)} (standard "
        f"deviation, 95 % interval {basis.number(noise.lower)} to {basis.number(noise.upper)})"
    )
    compared = _compared(basis)
    return f"{moved}, {compared}" if compared else moved


def _on_unlimited(basis: Basis, quality: Quality) -> str:
    """How far the quality of the runs differs, which is what anybody wants to know."""
    moves = f"On an unlimited test set {basis.source} would move {basis.metric.label} by"
    ends = f"{basis.number(quality.lower)} to {basis.number(quality.upper)}"
    if quality.luck_at_most:
        bound = f"what independent errors give is only bounded, by the {quality.luck_by}"
        return f"{moves} {ends}{basis.metric.unit} (95 % interval; {bound})."
    shown = "" if quality.shown else ": the runs show no difference in quality"
    estimate = f"{basis.difference(quality.std)} (standard deviation, 95 % interval {ends})"
    few = f" Only {quality.contested} examples set the runs apart: the interval may be too short."
    return f"{moves} {estimate}{shown}.{few if quality.rests_on_few else ''}"


def _on_these(basis: Basis, quality: Quality, noise: Spread) -> str:
    """What this test set shows, how much of it is luck, and how many predictions are behind it."""
    most = "at most " if quality.luck_at_most else ""
    moves = (
        f"On these {quality.examples:,} examples it moves it by {basis.difference(noise.std)} "
        f"({basis.number(noise.lower)} to {basis.number(noise.upper)}), where independent errors alone would give "
        f"{most}{basis.number(quality.luck)}"
    )
    churn = "" if basis.churn is None else f", and changes {percent(basis.churn / 100)} of the predictions"
    less = f" {LESS_THAN_LUCK.format('')}" if quality.is_below_luck(noise.upper) else ""
    compared = _compared(basis)
    order = f" This is {compared}{_seed_on_unlimited(basis)}." if compared else ""
    return f"{moves}{churn}.{less}{order}"


def _seed_on_unlimited(basis: Basis) -> str:
    quality = basis.seed_quality
    if quality is None or quality.luck_at_most or quality.upper == 0:
        return ""
    ends = f"{basis.number(quality.lower)} to {basis.number(quality.upper)}"
    return f"; on an unlimited test set {basis.seed_decides} would move it by {basis.difference(quality.std)} ({ends})"


def _compared(basis: Basis) -> str:
    share, seed = basis.share, basis.seed
    if share is None or seed is None:
        return ""
    return (
        f"{100 * share.value:.0f} % of what {basis.seed_decides} does ({basis.difference(seed.std)}; interval of "
        f"the share {100 * share.lower:.0f} to {100 * share.upper:.0f} %)"
    )


def _weights_only(basis: Basis) -> str:
    logged = f" (the runs logged {', '.join(basis.logged)}: choose one with `metric`)" if basis.logged else ""
    missing = f"No run has a value of {basis.metric.label}{logged}."
    if basis.largest_distance is None:
        return missing
    if basis.largest_distance == 0:
        return f"{missing} No weight of any run differs either."
    return f"{missing} {capital(basis.source)} moved the weights by up to {_rel_l1(basis.largest_distance)}."


def _unmoved(basis: Basis) -> str:
    distance, weights = basis.largest_distance, ""
    if distance == 0:
        weights = ", for no weight of any run differs: rounding absorbed it all, or the training does not use its noise"
    elif distance is not None:
        weights = f", and the weights moved by no more than {_rel_l1(distance)}"
    seed = basis.seed
    moved = ""
    if seed is not None and seed.std > 0:
        moved = f" {capital(basis.seed_decides)} moves it by {basis.difference(seed.std)}{_seed_on_unlimited(basis)}."
    return f"{capital(basis.source)} left the {basis.metric.label} of every run as it was{weights}.{moved}"


def _rel_l1(value: float) -> str:
    """A distance and what it is of, where a reader meets it first."""
    return f"RelL1 {scientific(value)} (relative distance, 0 for equal weights and 2 for opposite ones)"
