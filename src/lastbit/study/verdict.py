"""What a study says, in one sentence with numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from lastbit.statistics.examples import Luck
from lastbit.statistics.spread import Share, Spread, least_difference
from lastbit.study.controls import Controls, random_evaluation
from lastbit.study.repetitions import Repetitions


@dataclass(frozen=True)
class Evidence:
    """What the verdict rests on; spreads are in the metric's unit."""

    source: str  # what the runs of a seed differ in: `last-bit noise`, `summation order`
    controls: Controls | None  # None where they were not run
    noise: Spread | None  # by that source
    seed: Spread | None  # by batch order
    share: Share | None  # noise over batch order
    largest_distance: float | None  # the largest finite RelL1 of any two compared runs; None where none was measured
    diverged: int  # runs
    failed: int  # runs
    kinds_of_arithmetic: int  # different fingerprints; one is as it should be
    arithmetic_differs_in: tuple[str, ...] = ()  # fields of the fingerprints
    groups: tuple[tuple[int, ...], ...] = ()  # the seeds of each kind that gives other bits
    metric: str = "test accuracy"  # for people
    unit: str = " points"  # that follows a number of it
    decimals: int = 2  # of such a number
    seed_decides: str = "batch order"
    incomparable: tuple[str, ...] = ()  # pairs of runs whose weights have other shapes, and in what
    doubts: tuple[str, ...] = ()  # why runs may not have begun alike, each with the run's label
    luck: Luck | None = None  # what independent errors on the test set would give in place of `noise`; None: not known
    counts_examples: bool = False  # whether the metric is an accuracy, for which luck matters
    measured: bool = True  # whether any run has a value of the metric
    logged: tuple[str, ...] = ()  # names of what the runs logged instead
    constant: float | None = None  # its value, where it is the same in all runs of several seeds
    repetitions: Repetitions | None = None  # what the runs of different seeds share; None where it was not looked at

    def number(self, value: float) -> str:
        """A value or a difference of the metric, without its unit."""
        return f"{value:.{self.decimals}f}"


def verdict(evidence: Evidence) -> str:
    """Say how much the noise moves the metric, and what that makes of small differences.

    Doubts come first: controls that failed or were not run, a random evaluation, trials on different arithmetic, seeds
    that change nothing, a metric that never varies. Where runs that must agree do not, no number is given. Runs that
    diverged or failed are counted.
    """
    doubts = [
        _unlike(evidence),
        _doubt(evidence),
        _random(evidence),
        _others(evidence),
        _repeated(evidence),
        _constant(evidence),
    ]
    said = [*doubts, "" if _is_refuted(evidence) else _finding(evidence)]
    return "".join((*said, _left_out(evidence), _incomparable(evidence), _note(evidence))).strip()


def _is_refuted(evidence: Evidence) -> bool:
    """Whether runs that must be the same are not, so that no number is the last bit's."""
    return bool(_random(evidence)) if evidence.controls is None else not evidence.controls.passed


def _random(evidence: Evidence) -> str:
    found = evidence.repetitions
    # Where controls passed, such weights are more likely a part of the network that the noise does not reach.
    if found is None or not found.random or evidence.controls is not None:
        return ""
    return (
        f"Not to be trusted: two runs ({found.random_runs}) have the same weights bit for bit. "
        f"{random_evaluation(found.random)}. "
    )


def _others(evidence: Evidence) -> str:
    said = "" if evidence.controls is None else evidence.controls.random_metrics
    return f"{_capitalised(said)} " if said else ""


def _repeated(evidence: Evidence) -> str:
    return f"{evidence.repetitions.doubt} " if evidence.repetitions is not None and evidence.repetitions.doubt else ""


def _constant(evidence: Evidence) -> str:
    if evidence.constant is None:
        return ""
    return (
        f"{_capitalised(evidence.metric)} is {evidence.number(evidence.constant)} in every run of every seed: it is at "
        "a limit, or not the number you mean, and shows nothing of what moves it. "
    )


def _note(evidence: Evidence) -> str:
    note = "" if evidence.controls is None else evidence.controls.note
    return f" {note}" if note else ""


def _unlike(evidence: Evidence) -> str:
    if not evidence.doubts:
        return ""
    more = f" ({len(evidence.doubts) - 1} more such runs)" if len(evidence.doubts) > 1 else ""
    return f"Runs may not have begun alike: {evidence.doubts[0]}{more}. "


def _doubt(evidence: Evidence) -> str:
    if evidence.controls is None:
        return _mixed(evidence) + "Without controls: other sources of noise are not ruled out. "
    if not evidence.controls.passed:
        return f"Not to be trusted: {evidence.controls.complaint}. "
    return _mixed(evidence)


def _mixed(evidence: Evidence) -> str:
    differences = ", ".join(evidence.arithmetic_differs_in)
    if len(evidence.groups) > 1:
        differing = f" (they differ in {differences})" if differences else ""
        return f"{other_bits(evidence.groups)}{differing}. "
    if evidence.kinds_of_arithmetic < 2:
        return ""
    return (
        f"Trials ran on {evidence.kinds_of_arithmetic} different kinds of arithmetic, which differ in "
        f"{differences} and may move results by more than the noise does. "
    )


def other_bits(groups: Sequence[Sequence[int]]) -> str:
    """What it means that seeds ran on arithmetic that gives other bits.

    Args:
        groups: the seeds of each.
    """
    first, *rest = (f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}" for seeds in groups)
    return (
        f"{_capitalised(first)} ran on other arithmetic than {' and than '.join(rest)}: within a seed only the noise "
        "differs, and the spread over seeds includes that change"
    )


def _finding(evidence: Evidence) -> str:
    if not evidence.measured:
        return _weights_only(evidence)
    if evidence.noise is None:
        return f"Too few finished runs to say how far {evidence.source} moves {evidence.metric}."
    if evidence.noise.std == 0:
        return _unmoved(evidence)
    source, moved = _capitalised(evidence.source), f"{evidence.number(evidence.noise.std)}{evidence.unit}"
    said = f"{source} moves {evidence.metric} by {moved} ({_interval(evidence, evidence.noise)})"
    compared, single = _compared(evidence), _between_single_runs(evidence, evidence.noise)
    if evidence.luck is None:
        unknown = " What the finite test set alone would give is not known." if evidence.counts_examples else ""
        return f"{said}{compared and f', {compared}'}; {single}.{unknown}"
    luck = _by_luck(evidence, evidence.luck, evidence.noise)
    rest = f"The spread is {compared}; {single}" if compared else _capitalised(single)
    return f"{said}; {luck}. {rest}."


def _by_luck(evidence: Evidence, luck: Luck, noise: Spread) -> str:
    """How much of the spread the finite test set gives by itself, and so what the spread is evidence of."""
    alone = f"{evidence.number(luck.std)}{evidence.unit}"
    errors = f"independent errors on the {luck.examples:,} test examples alone would give"
    if luck.at_most:
        if luck.may_explain(noise):
            return f"{errors} up to {alone}, so this is no clear evidence of a difference in quality"
        return f"{errors} {alone} at most, and what exceeds it is more than independent errors give"
    if luck.explains(noise):
        return f"{errors} {alone}, so this is no evidence of a difference in quality"
    if luck.may_explain(noise):
        return f"{errors} {alone}, so this is no clear evidence of a difference in quality"
    return f"{errors} {alone}, and what exceeds it is more than independent errors give"


def _between_single_runs(evidence: Evidence, noise: Spread) -> str:
    least = f"{evidence.number(least_difference(noise))}{evidence.unit}"
    return f"between two single runs, differences below {least} mean nothing"


def _weights_only(evidence: Evidence) -> str:
    logged = f" (the runs logged {', '.join(evidence.logged)}: choose one with `metric`)" if evidence.logged else ""
    said = f"No run has a value of {evidence.metric}{logged}."
    if evidence.largest_distance is None:
        return said
    if evidence.largest_distance == 0:
        return f"{said} No weight of any run differs either."
    source = _capitalised(evidence.source)
    return f"{said} {source} moved the weights by up to {_rel_l1(evidence.largest_distance)}."


def _interval(evidence: Evidence, found: Spread) -> str:
    return f"standard deviation, 95 % interval {evidence.number(found.lower)} to {evidence.number(found.upper)}"


def _compared(evidence: Evidence) -> str:
    if evidence.share is None or evidence.seed is None:
        return ""
    share = evidence.share
    return (
        f"{100 * share.value:.0f} % of what {evidence.seed_decides} does "
        f"({evidence.number(evidence.seed.std)}{evidence.unit}; interval of the share "
        f"{100 * share.lower:.0f} to {100 * share.upper:.0f} %)"
    )


def _unmoved(evidence: Evidence) -> str:
    distance, seed = evidence.largest_distance, evidence.seed
    order = _capitalised(evidence.seed_decides)
    moved = "" if seed is None else f" {order} moves it by {evidence.number(seed.std)}{evidence.unit}."
    source = _capitalised(evidence.source)
    return f"{source} left the {evidence.metric} of every run as it was{_weights(distance)}.{moved}"


def _weights(largest_distance: float | None) -> str:
    if largest_distance == 0:
        return ", for no weight of any run differs: rounding absorbed it all, or the training does not use its noise"
    return f", and the weights moved by no more than {_rel_l1(largest_distance)}" if largest_distance else ""


def _rel_l1(value: float) -> str:
    """A distance and what it is of, where a reader meets it first."""
    return f"RelL1 {_scientific(value)} (relative distance, 0 for equal weights and 2 for opposite ones)"


def _capitalised(words: str) -> str:
    return words[0].upper() + words[1:]


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _incomparable(evidence: Evidence) -> str:
    if not evidence.incomparable:
        return ""
    pairs = len(evidence.incomparable)
    return f" The weights of {pairs} pair(s) of runs cannot be compared, the first {evidence.incomparable[0]}."


def _left_out(evidence: Evidence) -> str:
    ended = {"diverged": evidence.diverged, "failed": evidence.failed}
    return "".join(f" {count} run(s) {how} and count in no average." for how, count in ended.items() if count)
