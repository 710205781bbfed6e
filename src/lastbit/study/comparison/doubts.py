"""What forbids a comparison, and what casts doubt on it."""

from collections.abc import Iterator

import numpy as np

from lastbit.differing import differing_fields
from lastbit.errors import LastbitError
from lastbit.report.numbers import joined
from lastbit.runs.numbers import MixedUnits, mixed_units
from lastbit.statistics.outliers import outliers
from lastbit.storage.files import to_json
from lastbit.study.agreement import same_weights
from lastbit.study.comparison.side import ComparedStudy, Side
from lastbit.study.grid import Grid
from lastbit.study.stored_trial import StoredTrial

_OTHER_METRIC = 1.8  # seeds of one recipe do not differ by such a factor


def refuse_incomparable(a: Side, b: Side, *, metric: str = "") -> None:
    """Refuse a study beside itself, different test sets as far as they are known, and percent against fractions.

    Args:
        a: a side.
        b: the other.
        metric: what plain numbers are said to be; studies know theirs.

    Raises:
        LastbitError: says which.
    """
    _refuse_mixed_units(a, b, metric)
    if a.study is None or b.study is None:
        return
    if set(a.study.grid.ids.values()) == set(b.study.grid.ids.values()):
        raise LastbitError(f"{a.name} and {b.name} are the same study: every trial of one is the other's")
    if difference := _different_tests(a.study, b.study):
        raise LastbitError(f"{a.name} and {b.name} cannot be compared: {difference}")


def doubts(a: Side, b: Side, *, metric: str = "") -> list[str]:
    """Sentences that belong before any finding: controls, seeds, numerics, recipes that are the same."""
    sides = (a, b)
    controls = [doubt for side in sides if side.study is not None for doubt in _controls(side.name, side.study)]
    seeds = [doubt for side in sides for doubt in (*_seeds(side), *_plain_numbers(side))]
    both = [] if a.study is None or b.study is None else _of_two_studies(a.name, a.study, b.name, b.study)
    return [*controls, *_one_in_another_unit(a, b, metric), *seeds, *_far_runs(a, b), *_numerics(a, b), *both]


def _units(a: Side, b: Side, metric: str) -> MixedUnits | None:
    values = [side.values[np.isfinite(side.values)] for side in (a, b)]
    groups = [name for name, of in zip("ab", values, strict=True) for _ in of]
    known = next((side.study.metric.name for side in (a, b) if side.study is not None), metric)
    return mixed_units(np.concatenate(values), groups, known)


def _refuse_mixed_units(a: Side, b: Side, metric: str) -> None:
    mixed = _units(a, b, metric)
    if mixed is None or not mixed.is_sure:
        return
    fractions, percents = sorted((a, b), key=lambda side: float(np.nanmean(side.values)))
    if np.nanmax(fractions.values) > 1 or np.nanmin(percents.values) <= 1:
        units = ("fractions", "percents") if mixed.few_are_fractions else ("percents", "fractions")
        count = f"{int(mixed.few.sum())} of the {len(mixed.few)} values of {a.name} and {b.name}"
        raise LastbitError(f"{count} look like {units[0]} and the others like {units[1]}: give all in one unit")
    means = [f"{float(np.nanmean(side.values)):.4g}" for side in (percents, fractions)]
    raise LastbitError(
        f"{percents.name} looks like percent and {fractions.name} like fractions (means {means[0]} and {means[1]}): "
        "give both in one unit, as fractions; of a loss say so by metric='loss'"
    )


def _one_in_another_unit(a: Side, b: Side, metric: str) -> Iterator[str]:
    mixed = _units(a, b, metric)
    if mixed is not None and not mixed.is_sure:
        unit = "a fraction, and the others like percents" if mixed.few_are_fractions else "percent, and the others not"
        yield (
            f"One of the {len(mixed.few)} values of {a.name} and {b.name} looks like {unit}: it counts as it is, as an "
            "outlier would."
        )


def _different_tests(a: ComparedStudy, b: ComparedStudy) -> str:
    first, second = a.grid.correctness(), b.grid.correctness()
    if first is not None and second is not None:
        if np.array_equal(first.targets, second.targets):
            return ""
        counts = f"{len(first.targets)} and {len(second.targets)} examples"
        return f"their test sets have different labels ({counts})"
    sizes = a.grid.examples(), b.grid.examples()
    if None not in sizes and sizes[0] != sizes[1]:
        return f"their test sets differ ({sizes[0]} and {sizes[1]} examples)"
    for field in ("name", "test"):
        values = _data(a, field), _data(b, field)
        if None not in values and values[0] != values[1]:
            return f"they were tested on different data (data.{field} = {values[0]} and {values[1]})"
    return ""


def _data(study: ComparedStudy, field: str) -> object:
    data = study.settings.get("data")
    return data.get(field) if isinstance(data, dict) else None


def _controls(name: str, study: ComparedStudy) -> Iterator[str]:
    if study.controls is None:
        yield f"{name} has no controls: other sources of noise are not ruled out."
    elif not study.controls.passed:
        yield f"{name} is not to be trusted: {study.controls.complaint}."


def _seeds(side: Side) -> Iterator[str]:
    if side.doubt:
        yield f"{side.name}: {side.doubt}"
    means = list(side.seed_means().values())
    if side.study is None and len(means) > 1 and np.ptp(means) == 0:
        yield (
            f"All {len(means)} runs of {side.name} gave {means[0]:g}: they look like one run counted {len(means)} "
            "times (a seed that changes nothing), or a metric at its limit."
        )


def _plain_numbers(side: Side) -> Iterator[str]:
    """Of numbers without a study: that they may be a table of metrics."""
    if side.study is not None:
        return
    means = np.abs(list(side.seed_means().values()))
    if len(side.noises) > 1 and len(means) > 1 and means.max() > _OTHER_METRIC * means.min():
        yield (
            f"The columns of {side.name} are taken for seeds, and their means range from {means.min():.4g} to "
            f"{means.max():.4g}: if they are metrics, give one metric's runs as a list."
        )


def _far_runs(a: Side, b: Side) -> Iterator[str]:
    """Of numbers without a study: runs far from all others."""
    values = [side.values[np.isfinite(side.values)] for side in (a, b)]
    far = outliers(np.concatenate(values), [name for name, of in zip("ab", values, strict=True) for _ in of])
    for side, of, is_far in zip((a, b), values, np.split(far, [len(values[0])]), strict=True):
        if side.study is None and is_far.any():
            runs, they = ("A run", "it counts") if is_far.sum() == 1 else ("Runs", "they count")
            gave = joined(f"{value:g}" for value in of[is_far])
            yield (
                f"{runs} of {side.name} gave {gave}, far from the others (median {np.median(of[~is_far]):g}): {they} "
                "like any other; give nan for a run that diverged."
            )


def _numerics(a: Side, b: Side) -> Iterator[str]:
    prints = [fingerprint for side in (a, b) if side.study is not None for fingerprint in side.study.fingerprints]
    if differ := sorted(differing_fields(prints)):
        yield (
            f"The runs come from different numerics ({', '.join(differ)}), so part of the difference may be the "
            "machine's or the library's."
        )


def _of_two_studies(name: str, study: ComparedStudy, other_name: str, other: ComparedStudy) -> Iterator[str]:
    """Recipes that are the same, and a difference between recipes that does not reach the training."""
    if to_json(study.settings) == to_json(other.settings):
        yield "Both studies train the same recipe: whatever differs is noise."
    runs, others = _runs(study.grid), _runs(other.grid)
    common = runs.keys() & others.keys()
    if common and all(runs[place].weight_sums and same_weights(runs[place], others[place]) for place in common):
        yield (
            f"{name} and {other_name} trained the same weights, bit for bit, in each of the {len(common)} runs that "
            "both have: what they differ in does not reach the training."
        )


def _runs(grid: Grid) -> dict[tuple[str, int], StoredTrial]:
    return {(grid.noises[i].label, grid.seeds[j]): trial for (i, j), trial in grid.stored.items()}
