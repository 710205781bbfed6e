"""The linear PDE at weight decays on either side of its bounds (figures 4 and 11)."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.figure import Figure
from lastbit.report.pde.lines import Curve, Lines, cut
from lastbit.report.pde.significant import significant

_VISIBLE = 1e4  # times the initial value: where a curve is said to have blown up


def weight_decay_figures(result: Mapping[str, Any], *, name: str) -> list[Figure]:
    """The kernel's norm and the loss of each run.

    Args:
        result: `lr`, `bounds` (by kind, `lower` and `upper`, with `exact` among them), and for each of `runs` its
            `weight_decay`, `regime`, `norm` and `loss` before each update.
        name: of the item; the files are called after it.
    """
    exact = result["bounds"]["exact"]
    between = f"between weight decays {significant(exact['lower'])} and {significant(exact['upper'])}"
    note = (
        f"The linear PDE around z = 0 by {_scheme(result)}. The exact bounds of the windowed operator are in the "
        "title. A cross ends a run that left the picture."
    )
    return [
        _figure(
            f"{name}-norm", f"The kernel stays bounded only {between}", note, _norms(result["runs"]), "kernel norm |K|"
        ),
        _loss(f"{name}-loss", f"The loss settles only {between}", note, result["runs"]),
    ]


def _scheme(result: Mapping[str, Any]) -> str:
    rate = f"learning rate {significant(result['lr'], 3)}"
    return (
        f"Nesterov momentum {result['momentum']:.3g}, {rate}" if "momentum" in result else f"gradient descent, {rate}"
    )


def _norms(runs: Sequence[Mapping[str, Any]]) -> list[Curve]:
    top = max(run["norm"][0] for run in runs) * _VISIBLE
    return [cut(_label(run), range(len(run["norm"])), run["norm"], cap=top) for run in runs]


def _loss(name: str, title: str, note: str, runs: Sequence[Mapping[str, Any]]) -> Figure:
    top = max(run["loss"][0] for run in runs) * _VISIBLE
    curves = [cut(_label(run), range(len(run["loss"])), _positive(run["loss"]), cap=top) for run in runs]
    fallen = any(min(run["loss"]) <= 0 for run in runs)
    # With its residual frozen, the loss of the linear PDE has no lower bound.
    said = " A loss that falls below 0 runs off to minus infinity, and its curve ends there." if fallen else ""
    return _figure(name, title, note + said, curves, "loss of the linear PDE")


def _positive(losses: Sequence[float]) -> list[float | None]:
    return [loss if loss > 0 else None for loss in losses]


def _figure(name: str, title: str, note: str, curves: list[Curve], y_title: str) -> Figure:
    lines = Lines(curves, "update step", f"{y_title} (log scale)", columns=4)
    return Figure(name, title, note, lines.chart(), lines.rows)


def _label(run: Mapping[str, Any]) -> str:
    return f"α = {significant(run['weight_decay'])}, {run['regime']}"
