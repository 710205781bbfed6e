"""A comparison of remedies as plain JSON, and its verdict in words."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

from lastbit.report.numbers import joined, number, points, signed
from lastbit.statistics.quality import Quality
from lastbit.statistics.recipes import AgainstBaseline
from lastbit.statistics.spread import Spread
from lastbit.study.comparison.recipes_json import finite_or_none
from lastbit.study.comparison.remedies import BATCH_ORDER, LAST_BIT, Compared, Measured, RemediesComparison

FORMAT = 1  # of the JSON, raised when its meaning changes
_FEWEST = 3  # seeds with which pairs of seeds have a spread


def remedies_json(comparison: RemediesComparison) -> dict[str, Any]:
    """All of it, as `lastbit remedy --json` prints and its page draws it; churn is in percent."""
    return {
        "format": FORMAT,
        "recipe": comparison.recipe,
        "metric": comparison.metric,
        "decimals": comparison.decimals,
        "unit": comparison.baseline.results.metric.unit.strip(),
        "sources": source_names(comparison),
        "seeds": comparison.seeds,
        "steps": comparison.steps,
        "within": comparison.rows[0].within if comparison.rows else None,
        "baseline": {
            "name": comparison.baseline.name,
            **_measured_json(comparison.measured),
            "cost": {"time": 1.0, "memory": 1.0},
        },
        "remedies": [_row_json(row, comparison.measured) for row in comparison.rows],
        "notes": list(comparison.notes),
        "verdict": " ".join(_sentences(comparison)),
    }


def source_names(comparison: RemediesComparison) -> dict[str, str]:
    """What makes runs differ, by source, as in the middle of a sentence: `the last bit`, `batch order`."""
    noises = comparison.baseline.results.grid.noises
    subject = next((noise.subject for noise in noises if not noise.is_exact), "the last bit")
    return {LAST_BIT: subject, BATCH_ORDER: comparison.baseline.results.seed_decides}


def _measured_json(measured: Measured) -> dict[str, Any]:
    horizon = measured.horizon
    return {
        "accuracy": measured.accuracy,
        "churn": {
            source: None if churn is None else {"value": churn[0], "interval": churn[1] and list(churn[1])}
            for source, churn in measured.churn.items()
        },
        "quality_spread": {source: _spread_json(quality) for source, quality in measured.quality.items()},
        "horizon": finite_or_none(horizon) if horizon is not None else None,
        "horizon_reached": None if horizon is None else isfinite(horizon),
        "diverged": measured.diverged,
        "spread": _spread_json(measured.spread),
        "distance": None if measured.distance is None else finite_or_none(measured.distance),
    }


def _spread_json(spread: Spread | Quality | None) -> dict[str, Any] | None:
    return None if spread is None else {"value": spread.std, "interval": [spread.lower, spread.upper]}


def _row_json(row: Compared, base: Measured) -> dict[str, Any]:
    content = _measured_json(row.measured)
    for source, churn in content["churn"].items():
        if churn is not None:
            churn["change"] = _interval(row.churn[source])
            churn["times_lower"] = row.times_lower(source, base)
    return {
        "name": row.treated.name,
        "options": dict(row.treated.options),
        **content,
        "accuracy_difference": finite_or_none(row.accuracy.difference),
        "accuracy_change": _interval(row.accuracy),
        "cost": {
            "time": row.time,
            "memory": row.memory,
            "time_interval": row.time_interval and list(row.time_interval),
        },
        "keeps_accuracy": row.keeps_accuracy,
        "lowers": row.lowers,
        "raises": row.raises,
        "better": None if row.within is None else row.is_better,
    }


def _interval(row: AgainstBaseline) -> list[float] | None:
    """The interval that holds together with those of all other treatments."""
    return None if row.simultaneous is None else list(row.simultaneous)


def _sentences(comparison: RemediesComparison) -> Iterator[str]:
    if comparison.rows and comparison.rows[0].within is None:
        yield from (_measured_words(row, comparison) for row in comparison.rows)
        return
    if comparison.seeds < 2:
        yield "One seed gives no interval, so nothing is beyond doubt: train several (--seeds)."
        return
    names = source_names(comparison)
    better = [row for row in comparison.rows if row.is_better]
    margin = comparison.rows[0].within if comparison.rows else 0.0
    within = f"the same accuracy (within {margin:g} {'point' if margin == 1 else 'points'})"
    for row in better:
        yield (
            f"{row.treated.name} is better than the baseline beyond doubt, at {within}: "
            f"{joined(_churn_words(row, comparison, names))}; accuracy {_change(row.accuracy)}{_cost(row)}."
        )
    if comparison.rows and not better:
        yield f"No remedy is shown to be better than the baseline at {within}."
    for row in comparison.rows:
        if not row.is_better:
            yield _why_not(row, names)
    if comparison.seeds < _FEWEST and any(row.churn[BATCH_ORDER].test for row in comparison.rows):
        yield f"{comparison.seeds} seeds are one pair: what {names[BATCH_ORDER]} changes has no interval."


def _measured_words(row: Compared, comparison: RemediesComparison) -> str:
    """What one treatment changes, where nobody has set a margin within which the metric is the same."""
    here, base, decimals = row.measured, comparison.measured, comparison.decimals
    cause = source_names(comparison)[LAST_BIT]
    if here.accuracy is None or base.accuracy is None:
        return f"{row.treated.name}: no run without it and with it ended with {comparison.metric}."
    interval = row.accuracy.simultaneous
    doubt = "one seed, so no interval" if comparison.seeds < 2 else "no interval, for it does not vary"
    around = doubt if interval is None else f"interval {' to '.join(signed(end, decimals) for end in interval)}"
    parts = [
        f"{comparison.metric} is {number(here.accuracy, decimals)} instead of {number(base.accuracy, decimals)}"
        f" ({signed(finite_or_none(row.accuracy.difference), decimals)}, {around})"
    ]
    churn, churn_before = here.churn[LAST_BIT], base.churn[LAST_BIT]
    if churn is not None and churn_before is not None:
        surely = ", beyond doubt" if LAST_BIT in (*row.lowers, *row.raises) else ""
        changed = f"{points(churn[0])} % of the predictions instead of {points(churn_before[0])} %"
        parts.append(f"{cause} changes {changed}{surely}")
    if here.spread is not None and base.spread is not None:
        parts.append(
            f"runs that differ in {cause} alone spread by an STD of {_spread(here.spread)} instead of"
            f" {_spread(base.spread)}"
        )
    if here.distance is not None and base.distance is not None:
        parts.append(f"their weights end {here.distance:.1e} apart instead of {base.distance:.1e}")
    diverged = f" {here.diverged} of its runs diverged." if here.diverged else ""
    return f"{row.treated.name}: {'; '.join(parts)}.{diverged}"


def _spread(spread: Spread) -> str:
    return f"{spread.std:.2g} ({spread.lower:.2g} to {spread.upper:.2g})"


def _churn_words(row: Compared, comparison: RemediesComparison, names: dict[str, str]) -> list[str]:
    words = []
    for source in row.lowers:
        here, there = row.measured.churn[source], comparison.measured.churn[source]
        if here is not None and there is not None:
            words.append(
                f"{names[source]} changes {points(here[0])} % of the predictions instead of {points(there[0])} %"
            )
    return words


def _why_not(row: Compared, names: dict[str, str]) -> str:
    name, change = row.treated.name, _change(row.accuracy)
    if row.measured.diverged:
        return f"{name}: {row.measured.diverged} of its runs diverged."
    if row.raises:
        return f"{name} raises the churn by {joined(names[source] for source in row.raises)}."
    if not row.lowers:
        return f"{name} is not shown to lower the churn (accuracy {change})."
    lowered = joined(names[source] for source in row.lowers)
    if row.accuracy.is_real and row.accuracy.difference < 0:
        return f"{name} lowers the churn by {lowered}, but the accuracy too ({change})."
    return f"{name} lowers the churn by {lowered}, but is not shown to keep the accuracy ({change})."


def _change(row: AgainstBaseline) -> str:
    """A difference of accuracy with its interval, in points."""
    if row.simultaneous is None:
        return f"{row.difference:+.2f} points, without an interval"
    low, high = row.simultaneous
    return f"{row.difference:+.2f} points, interval {low:+.2f} to {high:+.2f}"


def _cost(row: Compared) -> str:
    parts = [("time", row.time), ("memory", row.memory)]
    known = [f"{ratio:.2f} times the {name}" for name, ratio in parts if ratio is not None]
    return f"; {joined(known)}" if known else ""
