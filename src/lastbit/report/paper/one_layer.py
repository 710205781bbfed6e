"""The network of one layer and its linear PDE: Figures 4, 5, 6 and 11."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, cut
from lastbit.report.charts.dots import Dot, Reference, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.charts.look import REGIME_LINES
from lastbit.report.numbers import joined, significant
from lastbit.report.sharpness.charts import EDGE, EDGE_LEVEL

STEPS = Axis("update step", name="step", counts=True, format=",")
NORMALISED = Axis("learning rate × sharpness", name="normalised sharpness")


def weight_decay_figures(result: Mapping[str, Any], *, name: str) -> list[Figure]:
    """Figures 4 and 11: the kernel's norm and the loss of the linear PDE on either side of its bounds.

    Args:
        result: `lr`, `bounds` (by kind, `lower` and `upper`, with `exact` among them), and for each of `runs` its
            `weight_decay`, `regime`, `norm` and `loss` before each update.
        name: of the item; the files are called after it.
    """
    exact, runs = result["bounds"]["exact"], result["runs"]
    between = f"between weight decays {significant(exact['lower'])} and {significant(exact['upper'])}"
    rate = f"learning rate {significant(result['lr'], 3)}"
    scheme = f"Nesterov momentum {result['momentum']:.3g}" if "momentum" in result else "gradient descent"
    note = (
        f"The linear PDE around z = 0 by {scheme}, {rate}. The exact bounds of the windowed operator are in the title. "
        "A cross ends a run that left the picture."
    )
    # With its residual frozen, the loss of the linear PDE has no lower bound.
    fallen = " A loss that falls below 0 runs off to minus infinity, and its curve ends there."
    below = any(min(run["loss"]) <= 0 for run in runs)
    return [
        Figure(
            f"{name}-norm",
            f"The kernel stays bounded only {between}",
            note,
            _of_runs(runs, "norm", Axis("kernel norm |K|", name="|K|", log=True)),
        ),
        Figure(
            f"{name}-loss",
            f"The loss settles only {between}",
            note + (fallen if below else ""),
            _of_runs(runs, "loss", Axis("loss of the linear PDE", name="loss", log=True)),
        ),
    ]


def _of_runs(runs: Sequence[Mapping[str, Any]], field: str, y: Axis) -> Chart:
    top = 1e4 * max(run[field][0] for run in runs)  # beyond, a curve is said to have blown up
    curves = [
        cut(
            f"α = {significant(run['weight_decay'])}, {run['regime']}",
            range(len(run[field])),
            [value if value > 0 or field == "norm" else None for value in run[field]],
            cap=top,
        )
        for run in runs
    ]
    return line_chart(curves, x=STEPS, y=y)


def training_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Figure 5: the loss of the one-layer network by learning rate, and RelL1 of all twins.

    Args:
        result: for each of `runs` its `lr`, `regime` and `loss` before each update; for each of `twins` its `lr`,
            `regime` and `rel_l1`, by k.
    """
    return [_training_losses(result["runs"]), _training_twins(result["twins"])]


_FEW = 120  # steps in which a restrained loss's swings, and the growth of the last bit, are told apart


def _training_losses(runs: Sequence[Mapping[str, Any]]) -> Figure:
    # Ten times the initial loss, a run is said to have blown up.
    curves = [
        cut(f"lr = {run['lr']:g}, {run['regime']}", range(_FEW), run["loss"][:_FEW], cap=10.0 * run["loss"][0])
        for run in few_of_each(runs)
    ]
    steps = max(len(run["loss"]) for run in runs)
    note = (
        f"The regime is that of the whole run of {steps:,} steps; drawn are the first {_FEW}, in which swings can be "
        "told apart. A cross ends a run that left the picture."
    )
    chart = line_chart(curves, x=STEPS, y=Axis("loss", name="loss", log=True))
    return Figure("figure5-loss", _bands(runs), note, chart)


def _bands(runs: Sequence[Mapping[str, Any]]) -> str:
    rates: dict[str, list[float]] = {}
    for run in runs:
        rates.setdefault(run["regime"], []).append(run["lr"])
    words = {"stable": "Training converges", "restrained": "oscillates", "blow-up": "blows up"}
    return joined(f"{words[name]} {_between(of_regime)}" for name, of_regime in rates.items())


def _between(rates: Sequence[float]) -> str:
    return f"at lr {rates[0]:g}" if len(rates) == 1 else f"from lr {rates[0]:g} to {rates[-1]:g}"


def few_of_each(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first and the last run of each regime, and of more than three one between: more could not be told apart."""
    chosen = []
    for regime in dict.fromkeys(run["regime"] for run in runs):
        same = [run for run in runs if run["regime"] == regime]
        middle = {(len(same) - 1) // 2} if len(same) > 3 else set()
        chosen += [same[i] for i in sorted({0, len(same) - 1} | middle)]
    return chosen


def _training_twins(twins: Sequence[Mapping[str, Any]]) -> Figure:
    *below, last = sorted(twins, key=lambda run: float(run["lr"]))
    shown = [(run, k) for run in below for k in _ks(run)[:1]] + [(last, k) for k in _ks(last)]
    curves = [cut(f"lr = {run['lr']:g}, k = {k}", range(_FEW), run["rel_l1"][k][:_FEW]) for run, k in shown]
    note = (
        "RelL1 is the mean relative difference of the twins’ kernels, 2 · mean |w − w′| / (|w| + |w′|): 0 for equal, 2 "
        f"for opposite kernels. The foot of the axis is 0. Drawn are the first {_FEW} steps."
    )
    peaks = joined(f"{significant(_peak(run), 2)} at lr {run['lr']:g}" for run in twins)
    title = f"Twins that differ in the last bit come to a RelL1 of at most {peaks}"
    chart = line_chart(curves, x=STEPS, y=Axis("RelL1 against k = 1", name="RelL1", log=True), columns=3)
    return Figure("figure5-rel-l1", title, note, chart)


def _ks(run: Mapping[str, Any]) -> list[str]:
    return sorted(run["rel_l1"], key=int)


def _peak(run: Mapping[str, Any]) -> float:
    return max(float(value) for values in run["rel_l1"].values() for value in values if value is not None)


def one_layer_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Figure 6: the first steps of runs of each regime, and the range of normalised sharpness that each run comes to.

    Args:
        result: for each of `runs` its `lr`, `regime`, `normalised` sharpness before each update, and of its last
            quarter the `min`, `mean` and `max` under `late`.
    """
    return [_first_steps(result["runs"]), _ranges(result["runs"])]


def _first_steps(runs: Sequence[Mapping[str, Any]]) -> Figure:
    few = 30  # steps in which swings can be told apart
    # Where it ends above 2 without a blow-up, at lr = 2/weight decay exactly, it is neither: left to the second figure.
    plain = [run for run in runs if run["regime"] != "restrained" or run["late"]["min"] < EDGE]
    curves = [
        Curve(f"lr = {run['lr']:g}, {run['regime']}", range(few), run["normalised"][:few]) for run in few_of_each(plain)
    ]
    note = (
        "The sharpness is the largest eigenvalue of the loss’s Hessian, weight decay included. Drawn are the first "
        f"{few} steps; the title’s range is that of the last quarter of each restrained run."
    )
    chart = line_chart(curves, x=STEPS, y=NORMALISED, levels=[EDGE_LEVEL], columns=3)
    return Figure("figure6-sharpness", _swings(plain), note, chart)


def _swings(runs: Sequence[Mapping[str, Any]]) -> str:
    late = [run["late"] for run in runs if run["regime"] == "restrained"]
    if not late:
        return "No run is restrained"
    low, high = min(each["min"] for each in late), max(each["max"] for each in late)
    return f"Restrained, normalised sharpness goes back and forth across 2, from {low:.2g} to {high:.2g}"


def _ranges(runs: Sequence[Mapping[str, Any]]) -> Figure:
    stable = [run["lr"] for run in runs if run["regime"] == "stable"]
    title = (
        f"Training converges up to lr {max(stable):g}, and only there does the sharpness settle below 2"
        if stable
        else "Training converges at no learning rate"
    )
    note = (
        "From the smallest to the largest normalised sharpness in the last quarter of each run; the mark is its mean. "
        "The dashed line is the edge of stability, 2."
    )
    rates, late = [f"{run['lr']:g}" for run in runs], [run["late"] for run in runs]
    regimes = [run["regime"] for run in runs]
    chart = dot_chart(
        [Dot(lr, at["mean"], regime) for lr, at, regime in zip(rates, late, regimes, strict=True)],
        groups=rates,
        group_title="learning rate",
        value=NORMALISED,
        kinds=list(dict.fromkeys(regimes)),
        given=REGIME_LINES,
        behind=[
            Reference(EDGE),
            *(
                Span(lr, at["min"], at["max"], regime, width=12)
                for lr, at, regime in zip(rates, late, regimes, strict=True)
            ),
        ],
    )
    return Figure("figure6-range", title, note, chart)
