"""The rows of a study's results: of its trials, of the distances of their weights, and of how those grew."""

from collections.abc import Iterator
from typing import Any

from lastbit.noise import Noise
from lastbit.noise.noise import SETTINGS
from lastbit.study.distances import Distance, layer_medians
from lastbit.study.grid import Grid
from lastbit.study.growths import pair_growths
from lastbit.study.recorder import STEP
from lastbit.study.stored_trial import FAILED, StoredTrial

# What any row says of its trial, whatever its noise: a metric of such a name stands under `metrics` alone.
_OWN = {"id", "seed", "noise", "noise_seed", "status", "diverged_at", "failure", "metrics", *SETTINGS}


def trial_rows(grid: Grid, metric: str) -> Iterator[dict[str, Any]]:
    """A row for each trial that ended, seed by seed.

    Args:
        grid: the stored trials.
        metric: the study's own, which every row has.
    """
    for i, j in sorted({**grid.stored, **grid.failed}, key=lambda place: (place[1], place[0])):
        trial, failed = grid.stored.get((i, j)), grid.failed.get((i, j))
        metrics = _final_metrics(trial, metric)
        yield {
            **{name: value for name, value in metrics.items() if name not in _OWN},  # as before format 3
            "id": grid.ids[i, j],
            "seed": grid.seeds[j],
            **_noise_columns(grid.noises[i]),
            "status": FAILED if trial is None else trial.status,
            "diverged_at": None if trial is None else trial.diverged_at,
            "failure": None if failed is None else failed.as_json(),
            "metrics": metrics,
        }


def _final_metrics(trial: StoredTrial | None, metric: str) -> dict[str, Any]:
    """The last value of each metric by name; the study's own is there even without a value."""
    rows = [] if trial is None else trial.metrics
    last = {name: value for row in rows for name, value in row.items() if name != STEP}
    own = {metric: None if trial is None else trial.final(metric)} if metric else {}
    return {**last, **own}


def distance_rows(grid: Grid, distances: list[Distance]) -> Iterator[dict[str, Any]]:
    """A row for each pair of trials at each step."""
    for distance in distances:
        noise, seed = grid.noises[distance.noise], grid.seeds[distance.seed]
        place = {**_noise_columns(noise), "seed": seed, "step": distance.step}
        yield {**place, "value": distance.rel_l1.value}


def _noise_columns(noise: Noise) -> dict[str, Any]:
    """A noise in a row whose `seed` is that of the batch order, so that its own is called `noise_seed`."""
    settings = {"noise_seed" if name == "seed" else name: value for name, value in noise.as_json().items()}
    return {"noise": noise.label, **settings}


def growth_rows(grid: Grid, distances: list[Distance]) -> Iterator[dict[str, Any]]:
    """A row for each pair of trials."""
    for pair in pair_growths(distances):
        noise = grid.noises[pair.noise]
        yield {**_noise_columns(noise), "seed": grid.seeds[pair.seed], **pair.as_json()}


def layer_rows(distances: list[Distance]) -> list[dict[str, Any]]:
    """A row for each layer at each step."""
    return [{"layer": layer, "step": step, "value": value} for (layer, step), value in layer_medians(distances).items()]
