"""Figure 5: restrained instability of the one-layer network, and what it does to the last bit (paper, section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded
from lastbit.pde import OneLayerCNN, Simulation, checkerboard, random_kernel, simulate
from lastbit.report.charts import STEPS, Axis, Figure, cut, line_chart
from lastbit.report.numbers import joined, significant

_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "weight_decay": 20.0,
    "steps": 1000,
    "lrs": [0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.09, 0.095, 0.1, 0.105, 0.11],
    "ks": [1, 3],
    "twins": {"lrs": [0.03, 0.07], "ks": [1, 3, 5, 7, 9, 11]},
    # Learning rates of the two sides of the threshold that the paper finds by experiment.
    "converging": [0.01, 0.02, 0.03],
}
# What decides is the kernel's side: with as large a kernel the small image's network does nearly the same.
_SMOKE: Settings = {**_PAPER, "size": 40}

_GONE = 1e-12  # RelL1 of weights that differ in rounding only
_GROWN = 1e-2
_DIGITS = 6  # of a RelL1


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train at each learning rate with a twin, and at two of them with all twins."""
    twins = settings["twins"]
    return {
        "runs": [_as_json(lr, _train(settings, lr, settings["ks"])) for lr in settings["lrs"]],
        "twins": [_as_json(lr, _train(settings, lr, twins["ks"])) for lr in twins["lrs"]],
    }


def _train(settings: Settings, lr: float, ks: Sequence[int]) -> Simulation:
    net = OneLayerCNN(checkerboard(settings["size"]), kernel=settings["kernel"], label=1, beta=1.0, pool="mean")
    kernel = random_kernel(settings["kernel"], settings["seed"])
    return simulate(net, kernel, lr=lr, weight_decay=settings["weight_decay"], steps=settings["steps"], ks=ks)


def _as_json(lr: float, simulation: Simulation) -> dict[str, Any]:
    return {
        "lr": lr,
        "regime": simulation.regime,
        "blow_up_step": simulation.blow_up_step,
        "loss": simulation.loss.tolist(),
        "rel_l1": {str(k): rounded(simulation.rel_l1[i], _DIGITS) for i, k in enumerate(simulation.ks) if i > 0},
    }


def claims(result: Result) -> list[Claim]:
    """The three bands of learning rates; that the last bit grows in the middle one and not below."""
    limit = 2.0 / result["settings"]["weight_decay"]
    below = [run for run in result["runs"] if run["lr"] in result["settings"]["converging"]]
    beyond = [run for run in result["runs"] if run["lr"] > limit]
    between = [run for run in result["runs"] if run not in below and run["lr"] < limit]
    return [
        _bounded(result["runs"], beyond, limit),
        _converges(below),
        _is_restrained(between, limit),
        _amplifies(result["twins"]),
        _amplifies_throughout(between),
        _forgets([*below, *(run for run in result["twins"] if run["lr"] in result["settings"]["converging"])]),
    ]


def _bounded(runs: Sequence[Any], beyond: Sequence[Any], limit: float) -> Claim:
    finite = [run["lr"] for run in runs if run["regime"] != "blow-up"]
    gone = [run["lr"] for run in runs if run["regime"] == "blow-up"]
    return claim(
        f"The loss blows up when lr > 2/α = {limit:g}, and only then",
        published=limit,
        measured=_regimes(beyond),
        interval=[max(finite), min(gone)] if finite and gone else None,
        holds=bool(beyond) and {run["lr"] for run in beyond} == set(gone),
        reason=f"At lr = {limit:g} exactly the not activated regime neither grows nor decays.",
    )


def _converges(below: Sequence[Any]) -> Claim:
    ends = [run["loss"][-1] for run in below]
    return claim(
        f"At lr up to {max(run['lr'] for run in below)} the kernel converges, to one loss",
        published="converges",
        measured=_regimes(below),
        interval=[min(ends), max(ends)],
        holds=all(run["regime"] == "stable" for run in below) and max(ends) - min(ends) < 1e-9 * max(ends),
    )


def _is_restrained(between: Sequence[Any], limit: float) -> Claim:
    return claim(
        f"Between there and {limit:g} the loss oscillates: the instability is restrained",
        published="oscillations between stable and unstable regimes",
        measured=_regimes(between),
        holds=bool(between) and all(run["regime"] == "restrained" for run in between),
    )


def _amplifies(twins: Sequence[Any]) -> Claim:
    """The twins at the highest learning rate are the ones beyond the threshold."""
    last = max(twins, key=lambda run: run["lr"])
    peaks = {k: _peak(values) for k, values in last["rel_l1"].items()}
    return claim(
        f"At lr = {last['lr']} the last bit of every k grows to a plateau",
        published="the error builds up quickly and then levels off",
        measured=peaks,
        interval=[min(peaks.values()), max(peaks.values())],
        holds=min(peaks.values()) > _GROWN and all(_levels_off(values) for values in last["rel_l1"].values()),
    )


def _amplifies_throughout(between: Sequence[Any]) -> Claim:
    peaks = {str(run["lr"]): _peak(run["rel_l1"]["3"]) for run in between}
    still = [lr for lr, peak in peaks.items() if peak <= _GROWN]
    return claim(
        "Wherever the instability is restrained, the last bit is amplified",
        published="builds up quickly (stated for one learning rate)",
        measured=peaks,
        holds=bool(peaks) and not still,
        reason=f"At lr = {', '.join(still)} the loss oscillates in a stable cycle, which forgets errors."
        if still
        else "",
    )


def _forgets(below: Sequence[Any]) -> Claim:
    ends = [values[-1] for run in below for values in run["rel_l1"].values()]
    largest = None if None in ends else max(ends)
    return claim(
        "Where training converges, the last bit is not amplified",
        published="errors are not amplified",
        measured=largest,
        holds=largest is not None and largest < _GONE,
    )


def _regimes(runs: Sequence[Any]) -> dict[str, str]:
    return {str(run["lr"]): run["regime"] for run in runs}


def _peak(values: Sequence[float | None]) -> float:
    return max(value for value in values if value is not None)


def _levels_off(values: Sequence[float | None]) -> bool:
    """Whether the first half already reached a tenth of the peak, so that the second grew less than tenfold."""
    return _peak(values[: len(values) // 2]) > 0.1 * _peak(values)


def draw(result: Result) -> list[Drawing]:
    """The loss of the one-layer network by learning rate, and RelL1 of all twins.

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
    """The first and last run of each regime, and of more than three one between them: few enough to tell apart."""
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
    peaks = joined(f"{significant(max(map(_peak, run['rel_l1'].values())), 2)} at lr {run['lr']:g}" for run in twins)
    title = f"Twins that differ in the last bit come to a RelL1 of at most {peaks}"
    chart = line_chart(curves, x=STEPS, y=Axis("RelL1 against k = 1", name="RelL1", log=True), columns=3)
    return Figure("figure5-rel-l1", title, note, chart)


def _ks(run: Mapping[str, Any]) -> list[str]:
    return sorted(run["rel_l1"], key=int)


FIGURE5 = Item(
    id="figure5",
    order=44,
    title="Restrained instability amplifies the last bit in a network of one layer",
    shows="The loss over training by learning rate, and the twins' RelL1 below and beyond the threshold.",
    scales={
        "smoke": ItemScale(_SMOKE, "an image of 40 x 40 instead of 256 x 256", Cost(seconds=3.5)),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=75.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=75.0)),
    },
    published={"blow_up_beyond_lr": 0.1},
    run=run,
    claims=claims,
    draw=draw,
)
