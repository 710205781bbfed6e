"""The layer's training, simulated: its loss, a twin that differs in the last bit, and the edge of stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastbit.explore.layer import DescentSettings, Layer
from lastbit.explore.theory import against_one
from lastbit.pde import Simulation, simulate
from lastbit.report.charts import Axis, Curve, Figure, Level, cut, line_chart
from lastbit.report.charts.look import COOL, MUTED, REGIME_LINES, WARM
from lastbit.report.numbers import significant

Array = NDArray[np.floating]

STEPS = 200
TWIN = 3  # its k; the run's own is 1
_WORDS = {"stable": "Training is stable", "restrained": "The instability is restrained", "blow-up": "Training blows up"}
_HEIGHT = 200
_CAP = 1e12  # times the initial loss: beyond it the curve would show nothing but its height
# Steps measured at the end of a run, by the kernel's side: a Hessian with 144 rows takes 10 ms.
_MEASURED = {4: 24, 6: 24, 8: 16, 10: 8, 12: 6}
_FACTOR = "local |A|"
_FLOOR = 1e-2  # smallest local |A| drawn


def train(layer: Layer, descent: DescentSettings) -> Simulation:
    """Train for `STEPS` updates, with a twin; a run that overflows ends there."""
    return _simulated(layer, descent, ks=(1, TWIN))


def _simulated(layer: Layer, descent: DescentSettings, **options: Any) -> Simulation:
    """`STEPS` updates of the layer from its initial kernel, with further options of `simulate`."""
    return simulate(
        layer.net,
        layer.start,
        lr=descent.lr,
        weight_decay=descent.weight_decay,
        momentum=descent.momentum,
        steps=STEPS,
        **options,
    )


def loss_figure(run: Simulation) -> Figure:
    """The loss before each update, in the colour of the run's regime."""
    if not len(run.loss):
        return Figure("loss", "Training blows up before its first update", "The loss is not finite at the start.")
    note = (
        f"The loss includes weight decay. The regime is that of all {STEPS} updates. A cross marks where the loss "
        "leaves the picture."
    )
    curve = cut(run.regime, range(len(run.loss)), run.loss.tolist(), cap=_CAP * float(run.loss[0]))
    return _over_steps("loss", _loss_title(run), note, curve, "loss")


def twins_figure(run: Simulation) -> Figure:
    """RelL1 between the kernels of the run and its twin, in the colour of the run's regime."""
    note = (
        f"The twin steps (lr·{TWIN})·(d/{TWIN}) in place of lr·d: only rounding differs. RelL1 is 0 for equal kernels "
        "and 2 for opposite ones; the foot of the axis is 0."
    )
    curve = cut(run.regime, range(len(run.loss)), run.rel_l1[1].tolist(), cap=2.0)
    distances = [distance for _, distance in curve.points()]
    if not any(distances):
        return Figure("twins", "The twins’ kernels are bit for bit the same", note)
    title = f"The last bit makes twins differ by a RelL1 of at most {significant(max(distances), 2)}"
    return _over_steps("twins", title, note, curve, "RelL1")


def _loss_title(run: Simulation) -> str:
    if run.blow_up_step is not None:
        return f"Training blows up: not finite after {run.blow_up_step} updates"
    first, last = significant(float(run.loss[0]), 3), significant(float(run.loss[-1]), 3)
    return f"{_WORDS[run.regime]}: loss {first} at first, {last} after {len(run.loss) - 1} updates"


def _over_steps(name: str, title: str, note: str, curve: Curve, quantity: str) -> Figure:
    chart = line_chart(
        [curve],
        x=Axis("update step", name="step", counts=True, domain=(0, STEPS)),
        y=Axis(quantity, name=quantity, log=True),
        given=REGIME_LINES,
        height=_HEIGHT,
    )
    return Figure(name, title, note, chart)


@dataclass(frozen=True, eq=False)
class Crossing:
    """The local amplification at consecutive steps."""

    step: NDArray[np.generic]  # (m,)
    amplification: Array  # (m,): spectral radius of the linear update at the kernel before each step

    @property
    def crossings(self) -> int:
        """How often it passed from one side of 1 to the other."""
        return int(np.count_nonzero(np.diff(self.amplification > 1.0)))


def crossing(layer: Layer, descent: DescentSettings) -> Crossing:
    """The local amplification at the end of the training, from the extreme eigenvalues of the loss's Hessian."""
    measured = {"amplification_every": 1, "amplification_from": STEPS - _MEASURED[layer.kernel]}
    run = _simulated(layer, descent, **measured)
    return Crossing(run.amplification_steps, run.amplification)


def edge_figure(layer: Layer, descent: DescentSettings, regime: str) -> Figure:
    """The local amplification against 1 over the last steps of a restrained run; no chart for any other.

    Args:
        layer: the layer.
        descent: the descent.
        regime: of the run.
    """
    if regime != "restrained":
        name = {"stable": "stable", "blow-up": "one that blows up"}[regime]
        note = "Where an instability is restrained, some steps amplify errors and others damp them."
        return Figure("edge", f"No crossing of the edge is shown: the run is {name}", note)
    return crossing_figure(crossing(layer, descent))


def crossing_figure(measured: Crossing) -> Figure:
    """The local amplification against 1, over the steps."""
    steps, factors = measured.step.tolist(), np.maximum(measured.amplification, _FLOOR).tolist()
    chart = line_chart(
        [Curve(_FACTOR, steps, factors), *against_one(steps, factors, above="amplifies", below="damps")],
        x=Axis("update step", name="step", counts=True),
        y=Axis(_FACTOR, name=_FACTOR, log=True),
        levels=[Level(1.0, "edge: 1")],
        given={_FACTOR: MUTED, "amplifies": WARM, "damps": COOL},
        height=_HEIGHT,
    )
    low, high = (significant(float(end), 2) for end in (measured.amplification.min(), measured.amplification.max()))
    times = {0: "at no time", 1: "once", 2: "twice"}.get(measured.crossings, f"{measured.crossings} times")
    title = f"The local |A| crosses the edge, 1, {times} in the last {len(steps)} updates: {low} to {high}"
    note = "Largest factor of the update linearised at the current kernel, from the Hessian’s extreme eigenvalues."
    return Figure("edge", title, note, chart)
