"""The linear PDE of the layer: the amplification factor of every frequency, and the stable weight decays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastbit.explore.layer import LEARNING_RATES, WEIGHT_DECAYS, DescentSettings, Layer
from lastbit.pde import Bounds, Momentum, bound_curve, predicted_factor, stability_bounds
from lastbit.report.charts import Axis, Curve, Figure, Level, line_chart, with_clicks
from lastbit.report.charts.look import COOL, INK, MUTED, REGIME_LINES, WARM
from lastbit.report.numbers import significant

Array = NDArray[np.floating]

CHOSEN = "chosen"  # the selection that a click makes
_HEIGHT = 250
_FLOOR = 1e-2  # smallest |A| drawn: smaller factors die out within a step or two
_COURSE, _WINDOW = "|A|, smallest to largest", "largest in the kernel’s window"
_CURVE_STRIDE = 2  # of the sliders' values, between the points of a bound
_CLICK_STRIDE = 4  # of the sliders' values, between the cells of a click: a finger is no finer
_ZONES = {"stable": "linear PDE stable", "blow-up": "unstable in every regime"}


@dataclass(frozen=True, eq=False)
class Amplification:
    """The amplification factors of all frequencies, grouped in rings of equal |ω|."""

    radius: Array  # (R,): |ω| in units of π
    least: Array  # (R,): smallest |A| of the ring
    most: Array  # (R,): largest
    peak: float  # largest |A| of all
    frequency: tuple[float, float]  # of the peak, rows and columns, in units of π; -ω has the same factor
    windowed: float  # largest |A| of the operator on the kernel's window

    @property
    def is_stable(self) -> bool:
        """Whether no frequency is amplified."""
        return self.peak <= 1.0


def amplification(layer: Layer, descent: DescentSettings) -> Amplification:
    """The factors |A(ω)| of the layer's linear PDE (theorem 5.3).

    With momentum |A| is that of the larger root of each frequency's polynomial. The frequency of the largest |A| is at
    an end of the symbol's range, so it is the first to become unstable.
    """
    factors = descent.scheme.amplification(descent.lr * (descent.weight_decay + layer.symbol))
    size = len(factors)
    index = np.fft.fftfreq(size, 1.0 / size)
    ring = np.rint(np.hypot(index[:, None], index)).astype(int)
    least, most = np.full(ring.max() + 1, np.inf), np.zeros(ring.max() + 1)
    np.minimum.at(least, ring, factors)
    np.maximum.at(most, ring, factors)
    row, column = np.unravel_index(factors.argmax(), factors.shape)
    return Amplification(
        radius=2.0 * np.arange(len(most)) / size,
        least=least,
        most=most,
        peak=float(factors.max()),
        frequency=_upright(2.0 * float(index[row]) / size, 2.0 * float(index[column]) / size),
        windowed=predicted_factor(
            layer.linear, descent.scheme, window="exact", lr=descent.lr, weight_decay=descent.weight_decay
        ),
    )


def amplification_figure(factors: Amplification, kernel: int) -> Figure:
    """|A| over |ω|: of each ring from the smallest to the largest, against 1.

    Args:
        factors: the amplification factors.
        kernel: side of the kernel's window.
    """
    radius, windowed = factors.radius.tolist(), max(factors.windowed, _FLOOR)
    least, most = (np.maximum(ends, _FLOOR).tolist() for ends in (factors.least, factors.most))
    chart = line_chart(
        [
            Curve(_COURSE, radius, most, band=(least, most)),
            *against_one(radius, most, above="amplified", below="damped"),
            Curve(_WINDOW, [radius[0], radius[-1]], [windowed, windowed], style="dashed"),
        ],
        x=Axis("|ω| / π", name="|ω| / π"),
        y=Axis("|A|, growth in a step", name="|A|", log=True),
        levels=[Level(1.0, "1")],
        given={_COURSE: MUTED, "amplified": WARM, "damped": COOL, _WINDOW: INK["light"]},
        height=_HEIGHT,
    )
    note = (
        "Each point is the largest |A| of all frequencies with this |ω|; the band reaches down to the smallest. The "
        f"theory assumes an infinite window. On the kernel’s {kernel} x {kernel} entries the largest factor is "
        f"{significant(factors.windowed)}."
    )
    return Figure("amplification", _amplification_title(factors), note, chart)


def against_one(x: Sequence[float], factors: Sequence[float], *, above: str, below: str) -> list[Curve]:
    """Points of amplification factors, told apart by the side of 1 that they are on.

    Args:
        x: where the factors are drawn.
        factors: as many.
        above: label of the factors above 1.
        below: label of the others.
    """
    return [
        Curve(above, x, [factor if factor > 1.0 else None for factor in factors], style="points"),
        Curve(below, x, [factor if factor <= 1.0 else None for factor in factors], style="points"),
    ]


def _amplification_title(factors: Amplification) -> str:
    where = f"ω = ({_multiple(factors.frequency[0])}, {_multiple(factors.frequency[1])})"
    if factors.is_stable:
        return f"Stable at every frequency: |A| is at most {significant(factors.peak)}, at {where}"
    return f"Unstable from {where}: |A| = {significant(factors.peak)}"


def _upright(row: float, column: float) -> tuple[float, float]:
    """The frequency ω or its mirror image -ω, which has the same factor, whichever points up; -π is π."""
    if row < 0.0 or (row == 0.0 and column < 0.0):
        row, column = -row, -column
    return row, 1.0 if column == -1.0 else column


def _multiple(part: float) -> str:
    """A multiple of π: `0`, `π`, `0.47π`."""
    return "0" if part == 0.0 else "π" if part == 1.0 else f"{significant(part, 2)}π"


@dataclass(frozen=True, eq=False)
class Band:
    """The bounds on weight decay over learning rates, of the exact operator on the kernel's window."""

    lr: Array  # (A,)
    lower: Array  # (A,): of the linear PDE around an untrained network
    upper: Array  # (A,): below `lower` where no weight decay is stable
    limit: Array  # (A,): above it weight decay alone overshoots, so that even the inactive regime is unstable


def band(layer: Layer, momentum: float) -> Band:
    """The bounds over the sliders' learning rates (theorems 5.4 and 5.6, table 3)."""
    edge, rates = Momentum(momentum).edge, np.array(LEARNING_RATES[::_CURVE_STRIDE])
    untrained = bound_curve(layer.linear, rates, edge, "exact")
    inactive = bound_curve(layer.net.not_activated(), rates, edge, "exact")
    return Band(rates, untrained.lower, untrained.upper, inactive.upper)


def bounds_here(layer: Layer, descent: DescentSettings) -> Bounds:
    """The stable weight decays at the chosen learning rate."""
    return stability_bounds(layer.linear, window="exact", edge=descent.scheme.edge, lr=descent.lr)


def plane_figure(bounds: Band, here: Bounds, descent: DescentSettings) -> Figure:
    """The plane of learning rate and weight decay: the stable zone, the unstable one, and the chosen point.

    Args:
        bounds: over all learning rates.
        here: at the chosen learning rate.
        descent: the chosen point.
    """
    note = (
        "Bounds are those of the kernel’s own window. Between the two zones the linear PDE is unstable, and the "
        "network may restrain it. Click or tap to move the point."
    )
    chart = line_chart(
        [
            _zone(_ZONES["stable"], bounds.lr, bounds.lower, bounds.upper),
            _zone(_ZONES["blow-up"], bounds.lr, bounds.limit, np.full_like(bounds.limit, np.inf)),
            Curve(CHOSEN, [descent.lr], [descent.weight_decay], style="points"),
        ],
        x=Axis("learning rate", name="learning rate", log=True, domain=(LEARNING_RATES[0], LEARNING_RATES[-1])),
        y=Axis("weight decay", name="weight decay", log=True, domain=(WEIGHT_DECAYS[0], WEIGHT_DECAYS[-1])),
        given={label: REGIME_LINES[regime] for regime, label in _ZONES.items()} | {CHOSEN: INK["light"]},
        columns=3,
        height=_HEIGHT,
    )
    x, y = ("lr", LEARNING_RATES[::_CLICK_STRIDE]), ("weight_decay", WEIGHT_DECAYS[::_CLICK_STRIDE])
    return Figure("plane", _plane_title(here, descent), note, with_clicks(chart, name=CHOSEN, x=x, y=y))


def _zone(label: str, rates: Array, low: Array, high: Array) -> Curve:
    """The area between two bounds, cut to the picture, with a line along the lower one."""
    low, high = (np.clip(ends, WEIGHT_DECAYS[0], WEIGHT_DECAYS[-1]) for ends in (low, high))
    inside = np.flatnonzero(low < high)
    if not inside.size:
        return Curve(label, [], [], band=([], []))
    shown = slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2)  # with a point on either side, where it tapers off
    ends = low[shown].tolist(), np.maximum(low, high)[shown].tolist()
    return Curve(label, rates[shown].tolist(), ends[0], band=ends)


def _plane_title(here: Bounds, descent: DescentSettings) -> str:
    lr, weight_decay = significant(descent.lr), significant(descent.weight_decay)
    if here.empty:
        return f"At lr {lr} the linear PDE is stable at no weight decay"
    side = "inside" if descent.weight_decay in here else "below" if descent.weight_decay <= here.lower else "above"
    ends = f"{significant(here.lower)} to {significant(here.upper)}"
    return f"At lr {lr} the linear PDE is stable for weight decay {ends}; {weight_decay} is {side}"


def clicked(selections: Mapping[str, Any]) -> tuple[float, float] | None:
    """Learning rate and weight decay that a click chose, as the sliders have them; None where it chose none.

    Args:
        selections: of the chart by name, as the browser sends them.
    """
    chosen = selections.get(CHOSEN)
    if not isinstance(chosen, Mapping) or not chosen.get("lr") or not chosen.get("weight_decay"):
        return None
    return nearest(LEARNING_RATES, chosen["lr"][0]), nearest(WEIGHT_DECAYS, chosen["weight_decay"][0])


def nearest(values: Sequence[float], wanted: float) -> float:
    """The positive value whose ratio to the wanted one is nearest to 1."""
    return min(values, key=lambda value: abs(np.log(value / wanted)))
