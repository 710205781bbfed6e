"""Table 9: as table 2 for Nesterov momentum (paper, appendix E.2)."""

from __future__ import annotations

from math import sqrt
from typing import Any

from lastbit.paper.item import Drawing, Item, Result, Settings, Work
from lastbit.paper.window_bounds import SCALES, claims, run_series
from lastbit.pde import from_damping
from lastbit.report.pde import window_bounds_drawings


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Bound the weight decay under Nesterov momentum 0.9."""
    return run_series(settings, _nesterov)


def _nesterov(dt: float) -> dict[str, Any]:
    # Figure 11's time step squared is figure 4's; damping 2/19 a step is momentum 0.9.
    lr, momentum = from_damping(sqrt(dt), 2.0 / 19.0 / sqrt(dt))
    return {"lr": lr, "momentum": momentum, "nesterov": True}


def draw(result: Result) -> list[Drawing]:
    """The bounds by kernel size, and the table."""
    return [*window_bounds_drawings(result, name="table9")]


TABLE9 = Item(
    id="table9",
    title="Bounds on weight decay by kernel size under Nesterov momentum",
    shows="Bounds found by bisecting simulations beside the exact, the one-pixel and the infinite window's.",
    scales=SCALES,
    published={"bounds": "exist under momentum too; the text has lost the numbers"},
    run=run,
    claims=claims,
    draw=draw,
)
