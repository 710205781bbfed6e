"""What a study says that varies several sources: how far each moves the metric, in sentences with numbers."""

from collections.abc import Iterator, Sequence

from lastbit.report.numbers import capital, count_range, joined, percent, spread
from lastbit.statistics.quality import LESS_THAN_LUCK, Quality
from lastbit.statistics.source_design import next_design
from lastbit.statistics.variance import Component
from lastbit.study.contributions import Contribution, Contributions
from lastbit.study.metric import Metric
from lastbit.study.source_names import INTERACTION, REMAINDER, label_of

_MORE_RUNS = 2.25  # times as many runs are proposed where intervals are wide: 54 after 24
_WIDE = 3.0  # an interval is called wide where its upper end is more than so many times its lower one
_Part = tuple[str, Contribution]  # with its name in a sentence
_Split = tuple[str, Quality]


def verdict_on_sources(
    sources: Contributions, metric: Metric, decimals: int, *, churn: float | None, seen_alike: bool = False
) -> str:
    """Say what each source does on an unlimited test set where that is known, and on this one.

    Args:
        sources: what each contributes.
        metric: the number of each run that is compared.
        decimals: of a number of it.
        churn: mean percent of predictions that differ between runs of one cell; None where that is not known.
        seen_alike: whether cells of different seeds were found to have the same runs, which is said before.
    """
    return " ".join(_sentences(sources, metric, decimals, churn, seen_alike))


def _sentences(
    sources: Contributions, metric: Metric, decimals: int, churn: float | None, seen_alike: bool
) -> Iterator[str]:
    parts = sources.named()
    if not parts:
        yield f"Too few finished runs ({sources.runs}) to say what any source contributes."
        return
    moving = [(label, part) for label, part in parts if part.component.upper > 0]
    split = [(label, part.quality) for label, part in moving if part.quality is not None]
    if split:
        yield from _on_unlimited(split, metric, decimals)
    if moving:
        yield _on_these(moving, split, metric, decimals)
    yield from _of_the_still(sources, metric, is_alone=not moving)
    if moving and not seen_alike:
        yield from _that_reach_nothing(sources, metric)
    if sources.design.repeated and churn:
        yield f"The last bit alone changes {percent(churn / 100)} of the predictions."
    if not split and (unsure := [label for label, part in moving if part.component.lower == 0]):
        yield _reach_zero(unsure)
    if unknown := sources.unknown():
        listed = "; ".join(f"{label} ({why})" for label, why in unknown)
        none = all(part.share is None for _, part in parts)
        yield f"Not known: {listed}{', so that no share of the variance is given' if none else ''}."
    if any(_is_wide(part) for _, part in moving) and (more := _more_runs(sources)):
        yield f"{sources.runs} runs leave wide intervals; {more} new runs would narrow them."


def _of_the_still(sources: Contributions, metric: Metric, *, is_alone: bool) -> Iterator[str]:
    """What left the metric as it was; of the last bit only where it varied."""
    still = [label for label, part in sources.named() if part.component.upper == 0]
    rest = f"the {label_of(REMAINDER)}"
    never = rest in still and not sources.design.repeated
    if still:
        listed = joined(f"the {label_of(INTERACTION)}" if never and label == rest else label for label in still)
        last_bit = "; the last bit did not vary" if never else ""
        yield f"{capital(listed)} left {metric.label if is_alone else 'it'} as it was{last_bit}."


def _that_reach_nothing(sources: Contributions, metric: Metric) -> Iterator[str]:
    """The sources whose seed changes no digit of the metric, where another one does."""
    parts = {name: sources.parts.get(name) for name in sources.design.seeds}
    ignored = [label_of(name) for name, part in parts.items() if part is not None and part.component.upper == 0]
    if ignored:
        verb = "does" if len(ignored) == 1 else "do"
        yield (
            f"The seed of {joined(ignored)} {verb} not seem to reach the training: runs that differ in nothing else "
            f"gave the same {metric.label}, to the last digit."
        )


def _on_unlimited(split: Sequence[_Split], metric: Metric, decimals: int) -> Iterator[str]:
    """How far the quality of the runs differs by each source, and which of that the runs show."""
    bounds = dict.fromkeys(quality.luck_by for _, quality in split if quality.luck_at_most)
    numbers = [
        (label, _number(quality, decimals, "" if at else metric.unit)) for at, (label, quality) in enumerate(split)
    ]
    of = "95 % intervals" if bounds else "standard deviations with their 95 % intervals"
    bounded = f"; what independent errors give is only bounded, by the {joined(bounds)}" if bounds else ""
    yield f"On an unlimited test set {_listed(numbers, f'would move {metric.label}')}: {of}{bounded}."
    shown = [label for label, quality in split if quality.shown]
    if not shown:
        which = "any of them" if len(split) > 1 else split[0][0]
        yield f"The runs show no difference in quality by {which}; the intervals' upper ends are what they allow."
    else:
        others = (
            ""
            if len(shown) == len(split)
            else " alone; for the others, the intervals' upper ends are what the runs allow"
        )
        yield f"The runs show a difference in quality by {joined(shown)}{others}."
    if few := [(label, quality.contested) for label, quality in split if quality.contested and quality.rests_on_few]:
        whose = "its interval" if len(few) == 1 else "their intervals"
        runs = f"runs that differ by {joined(label for label, _ in few)}"
        yield f"Only {count_range(count for _, count in few)} examples set {runs} apart: {whose} may be too short."


def _number(part: Quality | Component, decimals: int, unit: str) -> str:
    ends = f"{spread(part.lower, decimals)} to {spread(part.upper, decimals)}"
    if isinstance(part, Quality) and part.luck_at_most:
        return f"{ends}{unit}"
    return f"{spread(part.std, decimals)}{unit} ({ends})"


def _on_these(moving: Sequence[_Part], split: Sequence[_Split], metric: Metric, decimals: int) -> str:
    """What this test set shows of each source, and how much of that is luck."""
    numbers = [
        (label, _number(part.component, decimals, "" if at else metric.unit)) for at, (label, part) in enumerate(moving)
    ]
    if not split:
        return f"{capital(_listed(numbers, f'moves {metric.label}'))}: standard deviations with their 95 % intervals."
    most = "at most " if any(quality.luck_at_most for _, quality in split) else ""
    lucks = joined(spread(quality.luck, decimals) for _, quality in split)
    in_order = ", in this order" if len(split) > 1 else ""
    below = [label for label, part in moving if part.quality and part.quality.is_below_luck(part.component.upper)]
    less = f" {LESS_THAN_LUCK.format(f'that differ by {joined(below)} ')}" if below else ""
    return (
        f"On these {split[0][1].examples:,} examples {_listed(numbers, 'moves it')}; independent errors alone would "
        f"give {most}{lucks}{in_order}.{less}"
    )


def _listed(numbers: Sequence[tuple[str, str]], moves: str) -> str:
    """`initialisation moves it by 0.3, batch order by 0.2`."""
    (first, number), *others = numbers
    return joined([f"{first} {moves} by {number}", *(f"{label} by {number}" for label, number in others)])


def _reach_zero(unsure: Sequence[str]) -> str:
    one = len(unsure) == 1
    reaches = f"The interval{'' if one else 's'} of {joined(unsure)} reach{'es' if one else ''} zero"
    return f"{reaches}: there may be no effect; the upper {'end is' if one else 'ends are'} what the runs allow."


def _is_wide(part: Contribution) -> bool:
    """Whether it is above zero, and its interval says little about its size."""
    return 0 < _WIDE * part.component.lower < part.component.upper


def _more_runs(sources: Contributions) -> int | None:
    """How many runs of a new design would tell more; None where runs of this one are missing, or there is none."""
    design = sources.design
    planned, repeats = len(design.places), None if design.repeated else 0
    if sources.runs < planned:
        return None
    return next_design(len(design.seeds), round(planned * _MORE_RUNS), repeats=repeats)
