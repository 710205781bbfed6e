"""Table 2: bounds on weight decay that simulations find, by kernel size, against the theory's (paper, section 5.3)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Drawing, Item, Result, Settings, Work
from lastbit.paper.window_bounds import SCALES, claims, run_series
from lastbit.report.pde import window_bounds_drawings


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Bound the weight decay under plain gradient descent."""
    return run_series(settings, lambda dt: {"lr": dt, "momentum": 0.0, "nesterov": False})


def draw(result: Result) -> list[Drawing]:
    """The bounds by kernel size, and the table."""
    return [*window_bounds_drawings(result, name="table2")]


TABLE2 = Item(
    id="table2",
    title="Bounds on weight decay by kernel size",
    shows="Bounds found by bisecting simulations beside the exact, the one-pixel and the infinite window's.",
    scales=SCALES,
    published={"bounds": "approach those of infinite support; the text has lost the numbers"},
    run=run,
    claims=claims,
    draw=draw,
)
