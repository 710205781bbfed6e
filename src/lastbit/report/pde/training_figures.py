"""Training of the one-layer network by learning rate, and its twins (figure 5)."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.figure import Figure
from lastbit.report.numbers import joined
from lastbit.report.pde.lines import Lines, cut
from lastbit.report.pde.significant import significant

_VISIBLE = 10.0  # times the initial loss: where a run is said to have blown up
_FEW = 120  # steps in which a restrained loss's swings, and the growth of the last bit, are told apart
_MANY = 3


def training_figures(result: Mapping[str, Any]) -> list[Figure]:
    """The loss of runs of each regime, and RelL1 of all twins.

    Args:
        result: for each of `runs` its `lr`, `regime` and `loss` before each update; for each of `twins` its `lr`,
            `regime` and `rel_l1`, by k.
    """
    return [_losses(result["runs"]), _twins(result["twins"])]


def _losses(runs: Sequence[Mapping[str, Any]]) -> Figure:
    curves = [
        cut(f"lr = {run['lr']:g}, {run['regime']}", range(_FEW), run["loss"][:_FEW], cap=_VISIBLE * run["loss"][0])
        for run in few_of_each(runs)
    ]
    lines = Lines(curves, "update step", "loss (log scale)", columns=4)
    steps = max(len(run["loss"]) for run in runs)
    note = (
        f"The regime is that of the whole run of {steps:,} steps; drawn are the first {_FEW}, in which swings can be "
        "told apart. A cross ends a run that left the picture."
    )
    return Figure("figure5-loss", _bands(runs), note, lines.chart(), lines.rows)


def _bands(runs: Sequence[Mapping[str, Any]]) -> str:
    rates: dict[str, list[float]] = {}
    for run in runs:
        rates.setdefault(run["regime"], []).append(run["lr"])
    words = {"stable": "Training converges", "restrained": "oscillates", "blow-up": "blows up"}
    return joined(f"{words[name]} {_between(found)}" for name, found in rates.items())


def _between(rates: Sequence[float]) -> str:
    return f"at lr {rates[0]:g}" if len(rates) == 1 else f"from lr {rates[0]:g} to {rates[-1]:g}"


def few_of_each(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first and the last run of each regime, and of many one between: more could not be told apart."""
    chosen = []
    for regime in dict.fromkeys(run["regime"] for run in runs):
        same = [run for run in runs if run["regime"] == regime]
        chosen += [
            same[i] for i in sorted({0, len(same) - 1} | ({(len(same) - 1) // 2} if len(same) > _MANY else set()))
        ]
    return chosen


def _twins(twins: Sequence[Mapping[str, Any]]) -> Figure:
    *below, last = sorted(twins, key=lambda run: float(run["lr"]))
    shown = [(run, k) for run in below for k in _ks(run)[:1]] + [(last, k) for k in _ks(last)]
    curves = [cut(f"lr = {run['lr']:g}, k = {k}", range(_FEW), run["rel_l1"][k][:_FEW]) for run, k in shown]
    lines = Lines(curves, "update step", "RelL1 against k = 1 (log scale)", columns=3)
    note = (
        "RelL1 is the mean relative difference of the twins’ kernels, 2 · mean |w − w′| / (|w| + |w′|): 0 for equal, 2 "
        f"for opposite kernels. The foot of the axis is 0. Drawn are the first {_FEW} steps."
    )
    return Figure("figure5-rel-l1", _ends(twins), note, lines.chart(), lines.rows)


def _ks(run: Mapping[str, Any]) -> list[str]:
    return sorted(run["rel_l1"], key=int)


def _ends(twins: Sequence[Mapping[str, Any]]) -> str:
    peaks = joined(f"{significant(_peak(run), 2)} at lr {run['lr']:g}" for run in twins)
    return f"Twins that differ in the last bit come to a RelL1 of at most {peaks}"


def _peak(run: Mapping[str, Any]) -> float:
    return max(float(value) for values in run["rel_l1"].values() for value in values if value is not None)
