"""The simulated training of the layer and of a twin that differs in the last bit, by its regime."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from math import inf, isfinite
from typing import Any

from lastbit.explore.drawing import Drawing, drawn
from lastbit.explore.layer import Descent, Layer
from lastbit.pde import Simulation, simulate
from lastbit.report.charts import Axis, Chart, Curve, Figure, line_chart
from lastbit.report.charts.look import REGIME_LINES
from lastbit.report.numbers import significant

STEPS = 200
TWIN = 3  # its k; the run's own is 1
WORDS = {"stable": "Training is stable", "restrained": "The instability is restrained", "blow-up": "Training blows up"}
_HEIGHT = 200
_STEPS = Axis("update step", name="step", counts=True, domain=(0, STEPS))
_CAP = 1e12  # times the initial loss: beyond, a curve shows nothing but its height


def train(layer: Layer, descent: Descent) -> Simulation:
    """Train for `STEPS` updates, with a twin; a run that overflows ends there."""
    return simulated(layer, descent, ks=(1, TWIN))


def simulated(layer: Layer, descent: Descent, **options: Any) -> Simulation:
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


def drawings(run: Simulation) -> list[Drawing]:
    """The loss, and how far the twin gets."""
    return [loss_drawing(run), twins_drawing(run)]


def loss_drawing(run: Simulation) -> Drawing:
    """The loss before each update, in the colour of the run's regime."""
    shown = _shown(run.loss, cap=_CAP * float(run.loss[0]) if len(run.loss) else 0.0)
    note = (
        f"The loss includes weight decay. {STEPS} updates; the regime is that of the whole run. A line that ends "
        "early has left the picture."
    )
    if not shown:
        return Drawing("loss", "Training blows up before its first update", "The loss is not finite at the start.")
    chart = _line(run.regime, shown, Axis("loss", name="loss", log=True))
    return drawn(Figure("loss", _loss_title(run), note, chart))


def twins_drawing(run: Simulation) -> Drawing:
    """RelL1 between the kernels of the run and its twin, in the colour of the run's regime."""
    shown = _shown(run.rel_l1[1], cap=inf)
    note = (
        f"The twin steps (lr·{TWIN})·(d/{TWIN}) for lr·d: it differs in rounding only. RelL1 is 0 for equal kernels "
        "and 2 for opposite ones; the foot of the axis is 0."
    )
    if not any(shown):
        return Drawing("twins", "The twins’ kernels are bit for bit the same", note)
    title = f"The last bit makes twins differ by a RelL1 of at most {significant(max(shown), 2)}"
    chart = _line(run.regime, shown, Axis("RelL1", name="RelL1", log=True))
    return drawn(Figure("twins", title, note, chart))


def _loss_title(run: Simulation) -> str:
    if run.blow_up_step is not None:
        return f"Training blows up: not finite after {run.blow_up_step} updates"
    return f"{WORDS[run.regime]}: loss {run.loss[0]:.3g} at first, {run.loss[-1]:.3g} after {len(run.loss) - 1} updates"


def _shown(values: Iterable[float], *, cap: float) -> list[float]:
    """The values of steps 0, 1, ... up to the first that is not finite or beyond the cap, in four digits."""
    shown = takewhile(lambda value: isfinite(value) and value <= cap, map(float, values))
    return [float(f"{value:.4g}") for value in shown]


def _line(regime: str, values: list[float], y: Axis) -> Chart:
    """A curve in the colour of the run's regime, which the title names."""
    curve = Curve(regime, range(len(values)), values)
    return line_chart([curve], x=_STEPS, y=y, given=REGIME_LINES, height=_HEIGHT)
