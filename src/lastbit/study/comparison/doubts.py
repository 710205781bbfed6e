"""What forbids a comparison, and what casts doubt on it."""

from collections.abc import Iterator

import numpy as np

from lastbit.differing import differing_fields
from lastbit.errors import LastbitError
from lastbit.storage.files import to_json
from lastbit.study.agreement import same_weights
from lastbit.study.comparison.side import Origin, Side
from lastbit.study.grid import Grid
from lastbit.study.stored_trial import StoredTrial


def check_comparable(a: Side, b: Side) -> None:
    """Refuse a study beside itself, different test sets as far as they are known, and percent against fractions.

    Raises:
        LastbitError: says which.
    """
    _refuse_mixed_units(a, b)
    if a.study is None or b.study is None:
        return
    if set(a.study.grid.ids.values()) == set(b.study.grid.ids.values()):
        raise LastbitError(f"{a.name} and {b.name} are the same study: every trial of one is the other's")
    told = _different_tests(a.study, b.study)
    if told:
        raise LastbitError(f"{a.name} and {b.name} cannot be compared: {told}")


def doubts(a: Side, b: Side) -> list[str]:
    """Sentences that belong before any finding: controls, arithmetic, recipes that are one."""
    studies = [(side.name, side.study) for side in (a, b) if side.study is not None]
    said = [doubt for name, study in studies for doubt in _controls(name, study)]
    seeds = [doubt for side in (a, b) for doubt in (*_seeds(side), *_plain_numbers(side))]
    return [*said, *seeds, *_arithmetic(a, b), *_same_recipe(a, b), *_same_runs(a, b)]


def _refuse_mixed_units(a: Side, b: Side) -> None:
    means = {side.name: float(np.nanmean(side.values)) for side in (a, b) if np.isfinite(side.values).any()}
    if len(means) < 2:
        return
    small, large = sorted((a, b), key=lambda side: means[side.name])
    within = np.nanmin(small.values) >= 0 and np.nanmax(small.values) <= 1 < np.nanmin(large.values)
    if within and np.nanmax(large.values) <= 100 and 50 < means[large.name] / max(means[small.name], 1e-9) < 200:
        raise LastbitError(
            f"{large.name} looks like percent and {small.name} like fractions (means {means[large.name]:.4g} and "
            f"{means[small.name]:.4g}): give both in one unit"
        )


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
    """Of numbers without a study: a table of metrics, and a run far from all others."""
    if side.study is not None:
        return
    means = np.abs(list(side.seed_means().values()))
    if len(side.noises) > 1 and len(means) > 1 and means.max() > _OTHER_METRIC * means.min():
        yield (
            f"The columns of {side.name} are taken for seeds, and their means range from {means.min():.4g} to "
            f"{means.max():.4g}: if they are metrics, give one metric's runs as a list."
        )
    values = side.values[np.isfinite(side.values)]
    apart = np.abs(values - np.median(values)) if len(values) else values
    usual = float(np.median(apart)) if len(values) > _FEW else 0.0
    if usual and apart.max() > _FAR * usual:
        yield (
            f"A run of {side.name} gave {values[apart.argmax()]:g}, far from the others (median "
            f"{np.median(values):g}): it counts like any other; give nan for a run that diverged."
        )


_OTHER_METRIC = 1.8  # seeds of one recipe do not differ by such a factor
_FEW, _FAR = 3, 30  # so many runs tell no outlier; so many times the median distance from the median is one


def _different_tests(a: Origin, b: Origin) -> str:
    one, other = (study.grid.correctness() for study in (a, b))
    if one is not None and other is not None:
        same = one.targets.shape == other.targets.shape and bool((one.targets == other.targets).all())
        return "" if same else _sizes("their test sets have different labels", len(one.targets), len(other.targets))
    sizes = [_examples(study) for study in (a, b)]
    if None not in sizes and sizes[0] != sizes[1]:
        return _sizes("their test sets differ", *sizes)
    for field in ("name", "test"):
        values = [_data(study, field) for study in (a, b)]
        if None not in values and values[0] != values[1]:
            return f"they were tested on different data (data.{field} = {values[0]} and {values[1]})"
    return ""


def _sizes(what: str, one: object, other: object) -> str:
    return f"{what} ({one} and {other} examples)"


def _examples(study: Origin) -> int | None:
    found = (trial.predictions() for trial in study.grid.stored.values())
    return next((len(labels) for labels in found if labels is not None), None)


def _data(study: Origin, field: str) -> object:
    data = study.settings.get("data")
    return data.get(field) if isinstance(data, dict) else None


def _controls(name: str, study: Origin) -> Iterator[str]:
    if study.controls is None:
        yield f"{name} has no controls: other sources of noise are not ruled out."
    elif not study.controls.passed:
        yield f"{name} is not to be trusted: {study.controls.complaint}."


def _arithmetic(a: Side, b: Side) -> Iterator[str]:
    found = [print_ for side in (a, b) if side.study is not None for print_ in side.study.fingerprints]
    if differ := sorted(differing_fields(found)):
        yield (
            f"The runs come from different numerics ({', '.join(differ)}), so part of the difference may be the "
            "machine's or the library's."
        )


def _same_runs(a: Side, b: Side) -> Iterator[str]:
    """Whether what the two recipes differ in does nothing: run for run the same weights."""
    if a.study is None or b.study is None:
        return
    one, other = (_runs(side.study.grid) for side in (a, b) if side.study is not None)
    common = one.keys() & other.keys()
    if common and all(one[place].weight_sums and same_weights(one[place], other[place]) for place in common):
        yield (
            f"{a.name} and {b.name} trained the same weights, bit for bit, in each of the {len(common)} runs that both "
            "have: what they differ in does not reach the training."
        )


def _runs(grid: Grid) -> dict[tuple[str, int], StoredTrial]:
    return {(grid.noises[i].label, grid.seeds[j]): trial for (i, j), trial in grid.stored.items()}


def _same_recipe(a: Side, b: Side) -> Iterator[str]:
    if a.study is not None and b.study is not None and to_json(a.study.settings) == to_json(b.study.settings):
        yield "Both studies train the same recipe: whatever differs is noise."
