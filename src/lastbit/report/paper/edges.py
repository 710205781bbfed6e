"""Drawings of training at the edge of stability: Figures 7 to 9."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Level, cut
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import joined, significant
from lastbit.report.paper.one_layer import NORMALISED, STEPS
from lastbit.report.sharpness.charts import EDGE, EDGE_LEVEL
from lastbit.report.table import Table


def depth_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Figure 7: the losses of networks of two depths at the same learning rates, and the sharpness of both.

    Args:
        result: for each of `runs` its `depth`, `lr`, `loss` by step, number of `rises` of the loss, and `sharpness`
            with `step` and `normalised`.
    """
    depths = list(dict.fromkeys(run["depth"] for run in result["runs"]))
    by_depth = {depth: [run for run in result["runs"] if run["depth"] == depth] for depth in depths}
    return [*(_depth_losses(depth, runs) for depth, runs in by_depth.items()), _depth_sharpness(by_depth)]


def _depth_losses(depth: int, runs: Sequence[Mapping[str, Any]]) -> Figure:
    curves = [cut(f"lr = {run['lr']:g}", range(len(run["loss"])), run["loss"]) for run in runs]
    rising = [f"{run['lr']:g}" for run in runs if run["rises"]]
    title = (
        f"With {_layers(depth)} the loss rises at lr {joined(rising)}"
        if rising
        else f"With {_layers(depth)} the loss falls at every step at every learning rate"
    )
    note = (
        "Full-batch gradient descent on zeros and ones of MNIST, without weight decay. A cross ends a run that blew up."
    )
    return Figure(f"figure7-loss-{depth}", title, note, line_chart(curves, x=STEPS, y=Axis("loss", name="loss")))


def _depth_sharpness(by_depth: Mapping[int, Sequence[Mapping[str, Any]]]) -> Figure:
    shown = [(depth, run) for depth, runs in by_depth.items() for run in (runs if depth > 1 else runs[-1:])]
    curves = [_sharpness_curve(f"{_layers(depth)}, lr = {run['lr']:g}", run) for depth, run in shown]
    peaks = {depth: max(_largest(run) for run in runs) for depth, runs in by_depth.items()}
    reached = joined(f"{significant(peak, 3)} with {_layers(depth)}" for depth, peak in peaks.items())
    note = "The sharpness is the largest eigenvalue of the loss’s Hessian. Of one layer only the largest lr is drawn."
    y = Axis(NORMALISED.title, name=NORMALISED.name, log=True)
    chart = line_chart(curves, x=STEPS, y=y, levels=[EDGE_LEVEL], columns=3)
    return Figure("figure7-sharpness", f"Normalised sharpness reaches {reached}", note, chart)


def _layers(depth: int) -> str:
    return f"{depth} layer" + ("s" if depth > 1 else "")


def _sharpness_curve(label: str, run: Mapping[str, Any]) -> Curve:
    return cut(label, run["sharpness"]["step"], run["sharpness"]["normalised"])


def _largest(run: Mapping[str, Any]) -> float:
    return float(max(value for value in run["sharpness"]["normalised"] if value is not None))


def hidden_layer_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Figure 8: losses and sharpness of fully connected networks of two depths, and the search for the learning rate.

    Args:
        result: `lr`; for `shallow` and `deep` the `depth`, `loss` by step, number of `spikes`, and `sharpness` with
            `step` and `normalised`; of the `search` the `time` and `sharpness` at each measurement, and the `largest`.
    """
    runs = [result["shallow"], result["deep"]]
    return [_hidden_losses(runs, result["lr"]), _hidden_sharpness(runs, result["lr"]), _search(result)]


def _hidden_losses(runs: Sequence[Mapping[str, Any]], lr: float) -> Figure:
    curves = [cut(_hidden(run), range(len(run["loss"])), run["loss"]) for run in runs]
    title = ", ".join(
        f"{_hidden(run)}: {run['spikes'] or 'no'} spike{'s' if run['spikes'] != 1 else ''}" for run in runs
    )
    note = (
        f"Full-batch gradient descent at lr {significant(lr)}, without weight decay. A spike rises a tenth or more "
        "above the lowest loss so far."
    )
    chart = line_chart(curves, x=STEPS, y=Axis("loss", name="loss", log=True))
    return Figure("figure8-loss", title, note, chart)


def _hidden_sharpness(runs: Sequence[Mapping[str, Any]], lr: float) -> Figure:
    curves = [_sharpness_curve(_hidden(run), run) for run in runs]
    reached = " and ".join(f"{significant(_largest(run), 3)} with {_hidden(run)}" for run in runs)
    note = f"The sharpness is the largest eigenvalue of the loss’s Hessian, here times lr = {significant(lr)}."
    chart = line_chart(curves, x=STEPS, y=NORMALISED, levels=[EDGE_LEVEL])
    return Figure("figure8-sharpness", f"Normalised sharpness reaches {reached}", note, chart)


def _search(result: Mapping[str, Any]) -> Figure:
    search, shallow, edge = result["search"], _hidden(result["shallow"]), EDGE / result["lr"]
    share, margin = result["settings"]["search"]["share"], result["settings"]["margin"]
    title = f"Along a slow descent the sharpness of {shallow} reaches {significant(search['largest'], 3)}"
    note = (
        f"The search for the learning rate: each step is {share:g} of the one that the present sharpness allows. The "
        f"learning rate, its edge drawn, is {margin:g} of the one that the largest sharpness allows."
    )
    chart = line_chart(
        [Curve(shallow, search["time"], search["sharpness"])],
        x=Axis("time: sum of the learning rates", name="time"),
        y=Axis("sharpness", name="sharpness"),
        levels=[Level(edge, f"edge: {significant(edge, 3)}")],
    )
    return Figure("figure8-search", title, note, chart)


def _hidden(run: Mapping[str, Any]) -> str:
    return f"{run['depth']} hidden layers"


def stable_rate_figures(result: Mapping[str, Any]) -> list[Figure | Table]:
    """Figure 9: where every descent ended, by depth, and the largest stable learning rate of each network.

    Args:
        result: for each of `searches` its `depth`, `seed`, `bracket` of the largest stable learning rate or None,
            `edge` expected from a stable descent, and for each of `runs` its `lr`, `regime` and `sharpness`.
    """
    searches = result["searches"]
    note = (
        "Where each descent ended, by depth; a descent is stable when its updates die out or stop reversing. Below the "
        "edge the sharpness is that of the minimum, in proportion to the learning rate; beyond, it is that of wherever "
        "the oscillation was."
    )
    return [Figure("figure9-sharpness", _stable_finding(searches), note, _ends(searches)), _rates_table(searches)]


def _ends(searches: Sequence[Mapping[str, Any]]) -> Chart:
    curves = list(_end_points(searches))
    rates = [lr for curve in curves for lr in curve.x]
    return line_chart(
        curves,
        x=Axis("learning rate", name="lr", log=True, domain=(0.8 * min(rates), 1.25 * max(rates))),
        y=Axis(f"{NORMALISED.title} at the end", name=NORMALISED.name),
        levels=[EDGE_LEVEL],
        columns=3,
    )


def _end_points(searches: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """Points of the descents of each depth and outcome."""
    points: dict[str, list[tuple[float, float]]] = {}
    for search in searches:
        for run in search["runs"]:
            outcome = "stable" if run["regime"] == "stable" else "unstable"
            end = run["sharpness"]["normalised"][-1]
            if end is not None:
                points.setdefault(f"{_layers(search['depth'])}, {outcome}", []).append((run["lr"], end))
    for label, ends in points.items():
        yield Curve(label, [lr for lr, _ in ends], [end for _, end in ends], style="points")


def _stable_finding(searches: Sequence[Mapping[str, Any]]) -> str:
    by_depth = itertools.groupby(searches, lambda search: int(search["depth"]))
    known = {depth: [search["bracket"] for search in group if search["bracket"]] for depth, group in by_depth}
    rates = joined(f"{_layers(depth)} up to lr {_ends_of(brackets)}" for depth, brackets in known.items() if brackets)
    return f"Stable with weight decay: {rates}"


def _ends_of(brackets: Sequence[Sequence[float]]) -> str:
    ends = [significant(end, 3) for end in (min(b[0] for b in brackets), max(b[0] for b in brackets))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _rates_table(searches: Sequence[Mapping[str, Any]]) -> Table:
    known = [search for search in searches if search["bracket"] is not None]
    return Table(
        "figure9-rates",
        f"2/λ and the largest stable learning rate, found in {len(known)} of {len(searches)} searches",
        ["layers", "initial kernels", "2/λ", "stable at", "unstable at"],
        [_rate_cells(search) for search in searches],
        "λ is the sharpness, weight decay included, at which the largest stable learning rate of a coarse sweep ended; "
        f"the largest stable learning rate is then found by bisection. The edge is at {EDGE:g}.",
        align="llrrr",
    )


def _rate_cells(search: Mapping[str, Any]) -> list[str]:
    rates = ["none found"] * 3
    if search["bracket"] is not None:
        rates = [significant(value) for value in (search["edge"], *search["bracket"])]
    return [str(search["depth"]), f"seed {search['seed']}", *rates]
