"""Networks of two depths at the same learning rates, without weight decay (figure 7)."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.edge.normalised import EDGE, NORMALISED, largest, sharpness_curve
from lastbit.report.figure import Figure
from lastbit.report.numbers import joined
from lastbit.report.pde.lines import Lines, cut
from lastbit.report.pde.significant import significant


def depth_figures(result: Mapping[str, Any]) -> list[Figure]:
    """The losses of each depth, and the normalised sharpness of both.

    Args:
        result: for each of `runs` its `depth`, `lr`, `loss` by step, number of `rises` of the loss, and `sharpness`
            with `step` and `normalised`.
    """
    depths = list(dict.fromkeys(run["depth"] for run in result["runs"]))
    by_depth = {depth: [run for run in result["runs"] if run["depth"] == depth] for depth in depths}
    return [*(_losses(depth, runs) for depth, runs in by_depth.items()), _sharpness(by_depth)]


def _losses(depth: int, runs: Sequence[Mapping[str, Any]]) -> Figure:
    curves = [cut(f"lr = {run['lr']:g}", range(len(run["loss"])), run["loss"]) for run in runs]
    lines = Lines(curves, "update step", "loss", log_y=False)
    rising = [f"{run['lr']:g}" for run in runs if run["rises"]]
    layers = f"{depth} layer" + ("s" if depth > 1 else "")
    title = (
        f"With {layers} the loss rises at lr {joined(rising)}"
        if rising
        else f"With {layers} the loss falls at every step at every learning rate"
    )
    note = (
        "Full-batch gradient descent on zeros and ones of MNIST, without weight decay. A cross ends a run that blew up."
    )
    return Figure(f"figure7-loss-{depth}", title, note, lines.chart(), lines.rows)


def _sharpness(by_depth: Mapping[int, Sequence[Mapping[str, Any]]]) -> Figure:
    shown = [(depth, run) for depth, runs in by_depth.items() for run in (runs if depth > 1 else runs[-1:])]
    label = {1: "1 layer"}
    curves = [
        sharpness_curve(f"{label.get(depth, f'{depth} layers')}, lr = {run['lr']:g}", run) for depth, run in shown
    ]
    lines = Lines(curves, "update step", f"{NORMALISED} (log scale)", columns=3, level=EDGE)
    peaks = {depth: max(largest(run) for run in runs) for depth, runs in by_depth.items()}
    reached = joined(
        f"{significant(peak, 3)} with {label.get(depth, f'{depth} layers')}" for depth, peak in peaks.items()
    )
    note = "The sharpness is the largest eigenvalue of the loss’s Hessian. Of one layer only the largest lr is drawn."
    return Figure("figure7-sharpness", f"Normalised sharpness reaches {reached}", note, lines.chart(), lines.rows)
