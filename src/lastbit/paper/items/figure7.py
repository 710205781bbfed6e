"""Figure 7: without weight decay, depth lowers the learning rates at which training is stable (paper, section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.curvature import EDGE
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.descents import (
    NORMALISED,
    convolutional_descent,
    follow,
    layers,
    peak,
    rises,
    sharpness_curve,
    stable_bracket,
)
from lastbit.report.charts import STEPS, Axis, Figure, cut, line_chart
from lastbit.report.numbers import joined, significant
from lastbit.report.sharpness.charts import EDGE_LEVEL

# The paper's learning rates, beta and initial kernels are lost.
_PAPER: Settings = {
    "every_image": 1,
    "steps": 1000,
    "every": 10,
    "seed": 0,
    "depths": [1, 3],
    "lrs": [1, 3, 10, 30],
}
_LAPTOP: Settings = {**_PAPER, "every_image": 8}
_SMOKE: Settings = {**_PAPER, "every_image": 28, "steps": 240, "every": 24, "lrs": [1, 6]}

_LATE = 4  # the last quarter of a run shows whether an instability lasts


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train the shallow and the deep network at each learning rate, without weight decay."""
    pairs = [(depth, lr) for depth in settings["depths"] for lr in settings["lrs"]]
    return {"runs": [_train(settings, depth, lr, work.device) for depth, lr in pairs]}


def _train(settings: Settings, depth: int, lr: float, device: str) -> dict[str, Any]:
    descent, batch = convolutional_descent(settings, depth, seed=settings["seed"], lr=lr, device=device)
    training = follow(descent, batch, steps=settings["steps"], every=settings["every"])
    at = rises(training["loss"])
    late = sum(step > len(training["loss"]) * (_LATE - 1) // _LATE for step in at)
    return {"depth": depth, **training, "rises": len(at), "late_rises": late}


def claims(result: Result) -> list[Claim]:
    """The shallow network is stable throughout; the deep one is not, though nothing blows up; and it is at the edge."""
    shallow, deep = (_of_depth(result["runs"], depth) for depth in result["settings"]["depths"])
    unstable = [run for run in deep if _is_unstable(run)]
    odd = [_name(run) for run in [*shallow, *deep] if (peak(run) > EDGE) != _is_unstable(run)]
    return [
        claim(
            "One layer is stable at every learning rate tried: its loss falls at every step",
            published="stable",
            measured=_by_lr(shallow, "rises"),
            holds=not any(map(_is_unstable, shallow)),
        ),
        claim(
            "Three layers are unstable, their loss rises, at a learning rate at which one layer is stable",
            published="unstable at one of the learning rates",
            measured=_by_lr(deep, "rises"),
            interval=stable_bracket(deep, [run["lr"] for run in unstable]),
            holds=bool({run["lr"] for run in unstable} & {run["lr"] for run in shallow if not _is_unstable(run)}),
        ),
        claim(
            "The instability is restrained: no run blows up, and at one learning rate the loss goes on rising and "
            "falling to the end",
            published="restrained instabilities",
            measured=_by_lr(deep, "late_rises"),
            holds=all(run["blow_up_step"] is None for run in deep) and any(run["late_rises"] > 1 for run in deep),
            reason=_thrown_out(unstable),
        ),
        claim(
            "The loss rises only where normalised sharpness passes 2, and wherever it does",
            published=None,
            measured={_name(run): peak(run) for run in [*shallow, *deep]},
            holds=bool(unstable) and not odd,
            reason=_why(odd, result["settings"]["every"]),
        ),
    ]


def _of_depth(runs: Sequence[Any], depth: int) -> list[Any]:
    return [run for run in runs if run["depth"] == depth]


def _name(run: Any) -> str:
    return f"depth {run['depth']}, lr {run['lr']:g}"


def _is_unstable(run: Any) -> bool:
    return bool(run["rises"]) or run["blow_up_step"] is not None


def _why(odd: Sequence[str], every: int) -> str:
    if not odd:
        return ""
    return (
        f"Otherwise at: {'; '.join(odd)}. Measurements at every {every} steps can miss a short passage, and along the "
        "sharpest direction of a starting point there may be little to descend."
    )


def _by_lr(runs: Sequence[Any], name: str) -> dict[str, Any]:
    return {f"{run['lr']:g}": run[name] for run in runs}


def _thrown_out(unstable: Sequence[Any]) -> str:
    calm = [f"{run['lr']:g}" for run in unstable if run["late_rises"] == 0]
    return f"At lr = {', '.join(calm)} it threw the kernels out to where the loss is flat, and ended." if calm else ""


def draw(result: Result) -> list[Drawing]:
    """The losses of networks of two depths at the same learning rates, and the sharpness of both.

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
        f"With {layers(depth)} the loss rises at lr {joined(rising)}"
        if rising
        else f"With {layers(depth)} the loss falls at every step at every learning rate"
    )
    note = (
        "Full-batch gradient descent on zeros and ones of MNIST, without weight decay. A cross ends a run that blew up."
    )
    return Figure(f"figure7-loss-{depth}", title, note, line_chart(curves, x=STEPS, y=Axis("loss", name="loss")))


def _depth_sharpness(by_depth: Mapping[int, Sequence[Mapping[str, Any]]]) -> Figure:
    shown = [(depth, run) for depth, runs in by_depth.items() for run in (runs if depth > 1 else runs[-1:])]
    curves = [sharpness_curve(f"{layers(depth)}, lr = {run['lr']:g}", run) for depth, run in shown]
    peaks = {depth: max(peak(run) for run in runs) for depth, runs in by_depth.items()}
    reached = joined(f"{significant(highest, 3)} with {layers(depth)}" for depth, highest in peaks.items())
    note = "The sharpness is the largest eigenvalue of the loss’s Hessian. Of one layer only the largest lr is drawn."
    y = Axis(NORMALISED.title, name=NORMALISED.name, log=True)
    chart = line_chart(curves, x=STEPS, y=y, levels=[EDGE_LEVEL], columns=3)
    return Figure("figure7-sharpness", f"Normalised sharpness reaches {reached}", note, chart)


FIGURE7 = Item(
    id="figure7",
    order=52,
    title="A deeper network is unstable at learning rates at which a shallow one is stable",
    shows="Losses of one and three convolutions on zeros and ones of MNIST by learning rate, without weight decay.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "every 28th of 2,128 images, 240 of 1000 steps, two learning rates, fewer measurements",
            Cost(seconds=8.0),
        ),
        "laptop": ItemScale(_LAPTOP, "every 8th of 2,128 images", Cost(seconds=135.0)),
        # Extrapolated: eight times the images.
        "paper": ItemScale(_PAPER, cost=Cost(seconds=1100.0, memory_mib=800)),
    },
    published={"shallow": "stable at every learning rate shown", "deep": "restrained instability at one of them"},
    run=run,
    claims=claims,
    draw=draw,
    descends=True,
)
