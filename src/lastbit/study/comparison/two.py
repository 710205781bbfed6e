"""Reads two recipes' runs from studies, directories or plain numbers, and compares them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from numpy.typing import ArrayLike

from lastbit.errors import LastbitError
from lastbit.runs.numbers import LARGEST
from lastbit.statistics.examples import example_test
from lastbit.statistics.means import MeanTest
from lastbit.statistics.moves import moves
from lastbit.statistics.spread import Table, least_difference, noise_spread, pooled
from lastbit.study.check import verify_study
from lastbit.study.comparison.comparison import Comparison
from lastbit.study.comparison.doubts import doubts, refuse_incomparable
from lastbit.study.comparison.replicates import (
    Replicates,
    compared_examples,
    replicates,
    single_run_design,
)
from lastbit.study.comparison.side import ComparedStudy, Side, side_of_numbers
from lastbit.study.grid import Grid
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.open_study import open_study
from lastbit.study.repetitions import listed, repetitions
from lastbit.study.results import Results
from lastbit.study.stored_study import StoredStudy

Runs = str | Path | StoredStudy | Results | ArrayLike  # what can be compared


def compare_two(a: Runs, b: Runs, *, metric: str | None = None, paired: bool | None = None) -> Comparison:
    """Compare the final metric of two recipes' runs, and say what the difference is worth.

    Runs that share a seed are not independent: the noises of each seed are averaged, and seeds are what is
    counted; a seed whose runs are another one's bit for bit counts once with it. Two studies (or two dictionaries) with
    the same seeds are compared pair by pair, everything else by Welch's test. Diverged and unfinished runs (NaN, inf
    and None among plain numbers) count in no average and are named.

    Args:
        a: a study, its directory, its `Results`; or final metrics as numbers, of shape (seeds,) or (noises, seeds), or
            by seed, as in {1: 0.93, 2: 0.94}.
        b: the other recipe's, likewise; the difference is a minus b.
        metric: a name given to `log`, by default the one that the studies are about; of plain numbers it only says
            whether they may be percents.
        paired: plain numbers carry no seeds, so pairs are only formed where True says that they belong together, in
            order; False never forms pairs.

    Raises:
        LastbitError: a side is no study and no numbers, the same study twice, another test set, no such metric, one run
            only, percent against fractions.
    """
    first, second = read_sides(a, b, metric)
    refuse_incomparable(first, second, metric=metric or "")
    values = replicates(first, second, paired=paired)
    paired_test, unpaired_test = values.paired_test(), values.unpaired_test()
    test = unpaired_test if paired_test is None else paired_test
    known = compared_examples(first, second, values)
    compared = next((side.study.metric for side in (first, second) if side.study is not None), Metric("", ""))
    return Comparison(
        metric=compared.name,
        label=compared.label,
        unit=compared.unit.strip(),
        a=first,
        b=second,
        doubts=(*doubts(first, second, metric=metric or ""), *_limits(values, test)),
        replicates=values,
        paired=paired_test,
        unpaired=unpaired_test,
        permutation=values.permutation_test(),
        examples=None
        if known is None
        else example_test(test, known.a, known.b, paired=values.paired, pairs=known.pairs),
        moves=None if known is None else moves(known.b, known.a, known.targets, paired=values.paired),
        noise_floor=_noise_floor(first, second),
        design=single_run_design(first, second, values),
    )


def _limits(values: Replicates, test: MeanTest) -> list[str]:
    """What the interval of the difference leaves out."""
    limits = []
    if values.only_seed is not None:
        limits.append(
            f"All runs compared share one seed ({values.only_seed}); the interval does not cover other seeds."
        )
    if test.standard_error == 0 and test.difference != 0 and not values.is_constant:
        limits.append("The difference does not vary at all, so it has no interval; p is the permutation test's.")
    return limits


def _noise_floor(a: Side, b: Side) -> float | None:
    if any(side.study is not None and side.study.controls and not side.study.controls.passed for side in (a, b)):
        return None  # it contains more than the last bit's noise
    spread = pooled(estimate for side in (a, b) if (estimate := noise_spread(side.values)) is not None)
    return None if spread is None else least_difference(spread)


def read_sides(a: Runs, b: Runs, metric: str | None) -> tuple[Side, Side]:
    """Read both sides.

    Args and errors are those of `read_all_sides`.
    """
    first, second = read_all_sides([a, b], metric)
    return first, second


def read_all_sides(runs: Sequence[Runs], metric: str | None) -> list[Side]:
    """Read the sides of a comparison, and give them different names.

    Args:
        runs: of each side.
        metric: a name given to `log`; None for the studies' own.

    Raises:
        LastbitError: one is no study, has no such metric, is about another, or is neither a study nor numbers.
    """
    letters = [ascii_lowercase[at] if len(runs) <= len(ascii_lowercase) else str(at + 1) for at in range(len(runs))]
    sides = [_read(given, metric, letter) for given, letter in zip(runs, letters, strict=True)]
    studies = [(side.name, side.study) for side in sides if side.study is not None]
    for name, study in studies[1:]:
        _check_same_metric(*studies[0], name, study)
    if len({side.name for side in sides}) == len(sides):
        return sides
    by_place = [_place(given) or side.name for given, side in zip(runs, sides, strict=True)]
    distinct = len(set(by_place)) == len(by_place)
    names = by_place if distinct else [f"{side.name} ({at})" for side, at in zip(sides, letters, strict=True)]
    return [replace(side, name=name) for side, name in zip(sides, names, strict=True)]


def _check_same_metric(name: str, study: ComparedStudy, other_name: str, other: ComparedStudy) -> None:
    if study.metric.name != other.metric.name:
        both = sorted({*study.grid.metrics()} & {*other.grid.metrics()})
        raise LastbitError(
            f"{name} is about {study.metric.name!r} and {other_name} about {other.metric.name!r}: name a metric that "
            f"both logged ({', '.join(both) or 'there is none'})"
        )


def _read(runs: Runs, metric: str | None, name: str) -> Side:
    if isinstance(runs, str | Path):
        runs = _opened(Path(runs))
    if not isinstance(runs, StoredStudy | Results):
        return side_of_numbers(runs, name)
    _refuse_designed(runs)
    grid, controls = (runs.grid(), runs.controls()) if isinstance(runs, StoredStudy) else (runs.grid, runs.controls)
    compared = runs.metric if metric in (None, runs.metric.name) else Metric(str(metric), str(metric))
    # Test accuracy is taken for a percentage, also in a study that is about something else.
    compared = TEST_ACCURACY if compared.name == TEST_ACCURACY.name else compared
    about = None if controls is None else controls.about(compared.name)
    return _side_of_study(runs.name, ComparedStudy(grid, about, runs.settings, grid.fingerprints(), compared))


def _refuse_designed(study: StoredStudy | Results) -> None:
    """Refuse a study whose runs are not independent even between seeds."""
    varies = study.design is not None if isinstance(study, StoredStudy) else study.contributions is not None
    if varies:
        raise LastbitError(
            f"the study {study.name} varies several sources at once (--vary), so that its runs share seeds and are no "
            "independent repetitions: compare studies over --seeds"
        )


def _opened(path: Path) -> StoredStudy:
    """The study in a directory."""
    verify_study(path, weights=False)  # of a study elsewhere, weights are not copied
    return open_study(path)


def _side_of_study(name: str, origin: ComparedStudy) -> Side:
    grid, metric = origin.grid, origin.metric.name
    logged = grid.metrics()
    if metric not in logged:
        known = f"it has {', '.join(sorted(logged))}" if logged else "no finished run of it logged one"
        raise LastbitError(f"the study {name} has no metric {metric!r}: {known}")
    values = grid.values(metric)
    values[~(np.abs(values) <= LARGEST)] = np.nan
    lost = _lost(grid, values, metric)
    repeated = repetitions(grid, metric)
    for first, *twins in repeated.groups():
        values[:, [grid.seeds.index(seed) for seed in twins]] = np.nan
        lost.append(f"seed{'s' if len(twins) > 1 else ''} {listed(twins)} (bit-identical to seed {first})")
    noises = tuple(noise.label for noise in grid.noises)
    return Side(name, values, noises, grid.seeds, tuple(lost), origin, has_seeds=True, doubt=repeated.doubt)


def _lost(grid: Grid, values: Table, metric: str) -> list[str]:
    places = [(i, j) for j in range(len(grid.seeds)) for i in range(len(grid.noises)) if np.isnan(values[i, j])]
    return [f"seed {grid.seeds[j]}, {grid.noises[i].label} ({_fate(grid, (i, j), metric)})" for i, j in places]


def _fate(grid: Grid, place: tuple[int, int], metric: str) -> str:
    trial = grid.stored.get(place)
    if trial is None:
        return "not finished" if place not in grid.failed else grid.failed[place].outcome
    return f"no finite {metric}" if trial.diverged_at is None else f"diverged at step {trial.diverged_at}"


def _place(runs: Runs) -> str:
    if isinstance(runs, StoredStudy):
        return runs.store.root.name
    return Path(runs).resolve().name if isinstance(runs, str | Path) else ""
