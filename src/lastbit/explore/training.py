"""The simulated training of the layer and of a twin that differs in the last bit, by its regime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from math import isfinite
from typing import Any

import altair as alt

from lastbit.explore.drawing import Drawing, filled, form, sized
from lastbit.explore.layer import Descent, Layer
from lastbit.explore.regime_look import WORDS, regime_colour
from lastbit.pde import Simulation, simulate
from lastbit.report.figure import ROWS
from lastbit.report.log_axis import LogAxis, decades, power_axis
from lastbit.report.numbers import scientific

STEPS = 200
TWIN = 3  # its k; the run's own is 1
_HEIGHT = 200
_CAP = 1e12  # times the initial loss: beyond, a curve shows nothing but its height


def train(layer: Layer, descent: Descent) -> Simulation:
    """Train for `STEPS` updates, with a twin; a run that overflows ends there."""
    return simulate(
        layer.net,
        layer.start,
        lr=descent.lr,
        weight_decay=descent.weight_decay,
        momentum=descent.momentum,
        steps=STEPS,
        ks=(1, TWIN),
    )


def loss_drawing(run: Simulation) -> Drawing:
    """The loss before each update, in the colour of the run's regime."""
    rows = _rows(run, run.loss, cap=_CAP * float(run.loss[0]) if len(run.loss) else 0.0)
    note = f"The loss includes weight decay. {STEPS} updates; the regime is that of the whole run."
    if not rows:
        return Drawing("loss", "Training blows up before its first update", "The loss is not finite at the start.")
    return Drawing("loss", _loss_title(run), note, _line(rows, "loss (log scale)"))


def twins_drawing(run: Simulation) -> Drawing:
    """RelL1 between the kernels of the run and its twin, in the colour of the run's regime."""
    rows = _rows(run, run.rel_l1[1], cap=2.0)
    note = (
        f"The twin steps (lr·{TWIN})·(d/{TWIN}) for lr·d: it differs in rounding only. RelL1 is 0 for equal kernels and "
        "2 for opposite ones; the foot of the axis is 0."
    )
    if not any(row["value"] > 0 for row in rows):
        return Drawing("twins", "The twins’ kernels are bit for bit the same", note)
    largest = max(row["value"] for row in rows)
    title = f"The last bit makes twins differ by a RelL1 of at most {scientific(largest)}"
    return Drawing("twins", title, note, _line(rows, "RelL1 (log scale)"))


def _loss_title(run: Simulation) -> str:
    if run.blow_up_step is not None:
        return f"Training blows up: not finite after {run.blow_up_step} updates"
    return f"{WORDS[run.regime]}: loss {run.loss[0]:.3g} at first, {run.loss[-1]:.3g} after {len(run.loss) - 1} updates"


def _rows(run: Simulation, values: Sequence[float], *, cap: float) -> list[dict[str, Any]]:
    """A row for each step up to the first value that is not finite or beyond the cap."""
    shown = takewhile(lambda value: isfinite(value) and value <= cap, map(float, values))
    return [
        {"step": step, "value": float(f"{value:.4g}"), "regime": run.regime}
        for step, value in enumerate(shown)
    ]


def _line(rows: Sequence[dict[str, Any]], title: str) -> dict[str, Any]:
    return filled(_form(decades(row["value"] for row in rows), title), rows=rows)


@cache
def _form(axis: LogAxis, title: str) -> dict[str, Any]:
    line = (
        alt.Chart(ROWS)
        .transform_calculate(shown=axis.position("value"))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=12))
        .encode(
            x=alt.X("step:Q", scale=alt.Scale(domain=[0, STEPS]), axis=alt.Axis(title="update step", grid=False)),
            y=alt.Y("shown:Q", scale=axis.scale(), axis=power_axis(axis, title)),
            color=regime_colour("regime"),
        )
    )
    return form(sized(line, height=_HEIGHT))
