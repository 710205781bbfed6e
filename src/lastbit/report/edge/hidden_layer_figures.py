"""Fully connected networks of two depths at one learning rate, and how that was found (figure 8)."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.edge.normalised import EDGE, NORMALISED, largest, sharpness_curve
from lastbit.report.figure import Figure
from lastbit.report.pde.lines import Curve, Level, Lines, cut
from lastbit.report.pde.significant import significant


def hidden_layer_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Losses, normalised sharpness, and the search for the learning rate.

    Args:
        result: `lr`; for `shallow` and `deep` the `depth`, `loss` by step, number of `spikes`, and `sharpness` with
            `step` and `normalised`; of the `search` the `time` and `sharpness` at each measurement, and the `largest`.
    """
    runs = [result["shallow"], result["deep"]]
    return [_losses(runs, result["lr"]), _sharpness(runs, result["lr"]), _search(result)]


def _losses(runs: Sequence[Mapping[str, Any]], lr: float) -> Figure:
    curves = [cut(_label(run), range(len(run["loss"])), run["loss"]) for run in runs]
    lines = Lines(curves, "update step", "loss (log scale)")
    said = ", ".join(f"{_label(run)}: {run['spikes'] or 'no'} spike{'s' if run['spikes'] != 1 else ''}" for run in runs)
    note = (
        f"Full-batch gradient descent at lr {significant(lr)}, without weight decay. A spike rises a tenth or more "
        "above the lowest loss so far."
    )
    return Figure("figure8-loss", said, note, lines.chart(), lines.rows)


def _sharpness(runs: Sequence[Mapping[str, Any]], lr: float) -> Figure:
    curves = [sharpness_curve(_label(run), run) for run in runs]
    lines = Lines(curves, "update step", NORMALISED, log_y=False, level=EDGE)
    said = " and ".join(f"{significant(largest(run), 3)} with {_label(run)}" for run in runs)
    note = f"The sharpness is the largest eigenvalue of the loss’s Hessian, here times lr = {significant(lr)}."
    return Figure("figure8-sharpness", f"Normalised sharpness reaches {said}", note, lines.chart(), lines.rows)


def _search(result: Mapping[str, Any]) -> Figure:
    search, shallow = result["search"], _label(result["shallow"])
    edge = EDGE.value / result["lr"]
    lines = Lines(
        [Curve(shallow, search["time"], search["sharpness"])],
        "time: sum of the learning rates",
        "sharpness",
        log_y=False,
        level=Level(edge, f"edge: {significant(edge, 3)}"),
    )
    share = result["settings"]["search"]["share"]
    title = f"Along a slow descent the sharpness of {shallow} reaches {significant(search['largest'], 3)}"
    note = (
        f"The search for the learning rate: each step is {share:g} of the one that the present sharpness allows. The "
        f"learning rate, its edge drawn, is {result['settings']['margin']:g} of the one that the largest sharpness "
        "allows."
    )
    return Figure("figure8-search", title, note, lines.chart(), lines.rows)


def _label(run: Mapping[str, Any]) -> str:
    return f"{run['depth']} hidden layers"
