"""How a restrained run passes its edge of stability back and forth, by the local linearisation of its last steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from lastbit.explore.drawing import Drawing, filled, form, sized
from lastbit.explore.layer import Descent, Layer
from lastbit.explore.training import STEPS, simulated
from lastbit.report.figure import ROWS
from lastbit.report.log_axis import LogAxis, decades, power_axis
from lastbit.report.look import MUTED

Array = NDArray[np.floating]

_HEIGHT = 200
# Steps that are measured at the end of a run, by the kernel's side: a Hessian of 144 rows takes 10 ms.
_MEASURED = {4: 24, 6: 24, 8: 16, 10: 8, 12: 6}
_SIDES = {"amplifies": "#D55E00", "damps": "#0072B2"}
_FLOOR = 1e-2


@dataclass(frozen=True, eq=False)
class Crossing:
    """The local amplification at consecutive steps."""

    step: NDArray[np.generic]  # (m,)
    amplification: Array  # (m,): spectral radius of the linear update at the kernel before each step

    @property
    def crossings(self) -> int:
        """How often it passed from one side of 1 to the other."""
        return int(np.count_nonzero(np.diff(self.amplification > 1.0)))


def crossing(layer: Layer, descent: Descent) -> Crossing:
    """The local amplification, from the extreme eigenvalues of the loss's Hessian, over the end of the training."""
    measured = {"amplification_every": 1, "amplification_from": STEPS - _MEASURED[layer.kernel]}
    run = simulated(layer, descent, **measured)
    return Crossing(run.amplification_steps, run.amplification)


def edge_drawing(layer: Layer, descent: Descent, regime: str) -> Drawing:
    """The local amplification against 1 over the last steps of a restrained run; words for any other.

    Args:
        layer: the layer.
        descent: the descent.
        regime: what the run did.
    """
    if regime != "restrained":
        name = {"stable": "stable", "blow-up": "one that blows up"}[regime]
        note = "Where an instability is restrained, steps that amplify and steps that damp take turns."
        return Drawing("edge", f"No crossing of the edge is shown: the run is {name}", note)
    return crossing_drawing(crossing(layer, descent))


def crossing_drawing(found: Crossing) -> Drawing:
    """The local amplification against 1, over the steps."""
    rows: list[dict[str, Any]] = [
        {"step": int(step), "factor": max(float(f"{factor:.4g}"), _FLOOR)}
        | {"side": "amplifies" if factor > 1.0 else "damps"}
        for step, factor in zip(found.step, found.amplification, strict=True)
    ]
    low, high = found.amplification.min(), found.amplification.max()
    times = _times(found.crossings)
    title = f"The local |A| crosses the edge, 1, {times} in the last {len(rows)} updates: {low:.2g} to {high:.2g}"
    note = "Largest factor of the update linearised at the current kernel, from the Hessian’s extreme eigenvalues."
    axis = decades([*(row["factor"] for row in rows), 1.0])
    return Drawing("edge", title, note, filled(_form(axis), rows=rows, levels=[{"level": 1.0}]))


def _times(count: int) -> str:
    return {0: "at no time", 1: "once", 2: "twice"}.get(count, f"{count} times")


@cache
def _form(axis: LogAxis) -> dict[str, Any]:
    base = alt.Chart(ROWS).encode(
        x=alt.X("step:Q", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(title="update step", grid=False)),
        y=alt.Y("factor:Q", scale=axis.scale(), axis=power_axis(axis, "local |A| (log scale)")),
    )
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(domain=list(_SIDES), range=list(_SIDES.values())),
        legend=alt.Legend(title=None, orient="top"),
    )
    level = alt.Chart(alt.NamedData("levels")).mark_rule(color=MUTED, strokeWidth=2).encode(y="level:Q")
    line = base.mark_line(color=MUTED, strokeWidth=1)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(color=colour)
    return form(sized(alt.LayerChart(layer=[level, line, points]), height=_HEIGHT))
