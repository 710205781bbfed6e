"""Computes a study's results from its stored trials."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lastbit.statistics.examples import Correctness
from lastbit.statistics.luck import Luck, known_luck, unit_of
from lastbit.statistics.quality import Quality, known_quality
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS, Table, noise_share, noise_spread, seed_spread, spread
from lastbit.statistics.variance import variance_split
from lastbit.study.contributions import Contributions, contributions
from lastbit.study.controls import Controls
from lastbit.study.design import SourceDesign
from lastbit.study.distances import Churn, prediction_churn, weight_distances
from lastbit.study.grid import Grid
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.repetitions import repetitions
from lastbit.study.results import Results
from lastbit.study.verdict import ANY_SEED


@dataclass(frozen=True)
class _Compared:
    """What runs show that differ in one thing, the noise or the seed."""

    churn: Churn | None
    luck: Luck | None
    quality: Quality | None


def collect(
    grid: Grid,
    *,
    name: str,
    settings: Mapping[str, Any],
    controls: Controls | None,
    metric: Metric = TEST_ACCURACY,
    seed_decides: str = ANY_SEED,
    design: SourceDesign | None = None,
) -> Results:
    """Compute a study's results.

    Args:
        grid: the stored trials.
        name: of the study.
        settings: of the training.
        controls: as they came out, or None where they were not run.
        metric: the number of each run that is compared.
        seed_decides: what another seed changes.
        design: of a study that varies several sources. Its cells share seeds, so that neither a spread nor a
            churn over them is given: what each source contributes stands in its place.
    """
    repeated = repetitions(grid, metric.name)
    distinct = repeated.counted(grid)
    table, predicted = distinct.values(metric.name), distinct.correctness()
    examples = _size_of_test_set(grid, metric, table) if predicted is None else None
    over_noises, over_seeds = (
        _compared(distinct, table, predicted, axis=axis, examples=examples) for axis in (OVER_NOISES, OVER_SEEDS)
    )
    distances, incomparable = weight_distances(grid)
    results = Results(
        name=name,
        settings=settings,
        metric=metric,
        seed_decides=seed_decides,
        grid=grid,
        counted=distinct,
        controls=controls,
        repetitions=repeated,
        per_noise=[spread(row) for row in table],
        per_seed=[spread(column) for column in grid.values(metric.name).T],
        noise=noise_spread(table),
        seed=seed_spread(table),
        share=noise_share(table),
        variance=variance_split(table, _in_percent(predicted, table), examples=examples),
        noise_luck=over_noises.luck,
        seed_luck=over_seeds.luck,
        noise_quality=over_noises.quality,
        seed_quality=over_seeds.quality,
        noise_churn=over_noises.churn,
        seed_churn=over_seeds.churn,
        distances=distances,
        incomparable=incomparable,
        gradient_fluctuation=grid.gradient_fluctuation(),
    )
    return results if design is None else _of_cells(results, contributions(grid, design, metric, examples=examples))


def _compared(grid: Grid, table: Table, predicted: Correctness | None, *, axis: int, examples: int | None) -> _Compared:
    churn = prediction_churn(grid, axis=axis)
    luck = known_luck(predicted, table, axis=axis, churn=None if churn is None else churn.mean, examples=examples)
    return _Compared(churn, luck, known_quality(predicted, table, luck, axis=axis))


def _of_cells(results: Results, sources: Contributions) -> Results:
    """The same with what each source contributes in place of what is known over seeds: cells share theirs."""
    return replace(
        results,
        per_noise=[None for _ in results.per_noise],
        seed=None,
        share=None,
        variance=replace(results.variance, batch_order=None, dropped_seeds=0),
        seed_luck=None,
        seed_quality=None,
        seed_churn=None,
        contributions=sources,
    )


def _size_of_test_set(grid: Grid, metric: Metric, table: Table) -> int | None:
    """The examples whose labels bound the errors of the metric; None where it is not known to be their accuracy.

    A percentage need not be an accuracy: word error rates, F1 and BLEU are none, and may exceed 100.
    """
    finite = table[np.isfinite(table)]
    declared = metric.name == TEST_ACCURACY.name and metric.is_percentage
    is_accuracy = declared and bool(((finite >= 0) & (finite <= 100)).all())
    return grid.examples() if is_accuracy else None


def _in_percent(predicted: Correctness | None, table: Table) -> Correctness | None:
    """The predictions, where the metric is their accuracy in percent."""
    return predicted if predicted is not None and unit_of(predicted.right, table) == 1 else None
