"""How a restrained run passes its edge of stability back and forth, by the local linearisation of its last steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastbit.explore.drawing import Drawing, drawn
from lastbit.explore.layer import Descent, Layer
from lastbit.explore.training import STEPS, simulated
from lastbit.report.charts import Axis, Curve, Figure, Level, line_chart
from lastbit.report.charts.look import COOL, MUTED, WARM

Array = NDArray[np.floating]

_HEIGHT = 200
# Steps that are measured at the end of a run, by the kernel's side: a Hessian of 144 rows takes 10 ms.
_MEASURED = {4: 24, 6: 24, 8: 16, 10: 8, 12: 6}
_COURSE = "local |A|"
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
    steps = [int(step) for step in found.step]
    factors = [max(float(f"{factor:.4g}"), _FLOOR) for factor in found.amplification]
    sides = {"amplifies": [factor if factor > 1.0 else None for factor in factors]}
    sides["damps"] = [factor if factor <= 1.0 else None for factor in factors]
    chart = line_chart(
        [
            Curve(_COURSE, steps, factors),
            *(Curve(side, steps, values, style="points") for side, values in sides.items()),
        ],
        x=Axis("update step", name="step", counts=True),
        y=Axis(_COURSE, name="local |A|", log=True),
        levels=[Level(1.0, "edge: 1")],
        given={_COURSE: MUTED, "amplifies": WARM, "damps": COOL},
        height=_HEIGHT,
    )
    low, high = found.amplification.min(), found.amplification.max()
    times = _times(found.crossings)
    title = f"The local |A| crosses the edge, 1, {times} in the last {len(steps)} updates: {low:.2g} to {high:.2g}"
    note = "Largest factor of the update linearised at the current kernel, from the Hessian’s extreme eigenvalues."
    return drawn(Figure("edge", title, note, chart))


def _times(count: int) -> str:
    return {0: "at no time", 1: "once", 2: "twice"}.get(count, f"{count} times")
