"""The phase diagram: what training does over learning rate and weight decay, with the theory's bounds over it."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.numbers import joined, percent
from lastbit.report.pde.write import write_figures

_HEIGHT = 480
# Okabe and Ito's hues, of three lightnesses, and a mark in each cell: told apart in grey and with any colour vision.
_REGIMES = {"stable": ("#56B4E9", ""), "restrained": ("#F0E442", "•"), "blow-up": ("#D55E00", "✕")}
# Colour and width of each regime's bounds: where they coincide, the narrower lies on the wider.
_LINES = {"transitioning": ("#000000", 4), "activated": ("#CC79A7", 2.5), "not activated": ("#009E73", 1.2)}
_DASHES = {"exact": [1, 0], "infinite": [6, 4]}
_MOST_MARKS = 40  # along an axis that have room beside each other


def write_phase(content: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write a phase diagram as phase.png and phase.svg.

    Args:
        content: `lr` and `weight_decay` (ascending), `regimes` by both, and for each of `bounds` its `regime`, `kind`,
            and `lower` and `upper` at each learning rate; where it is known, `sharpness`, that of the minimum at each
            weight decay.
        directory: made where it is missing.

    Returns:
        The two files.
    """
    return write_figures([phase_figure(content)], directory)


def phase_figure(content: Mapping[str, Any]) -> Figure:
    """The grid of regimes and the bounds over it; arguments as for `write_phase`."""
    x, y = edges(content["lr"]), edges(content["weight_decay"])
    across, up = (math.ceil(len(content[axis]) / _MOST_MARKS) for axis in ("lr", "weight_decay"))
    cells = [
        {"regime": name, "left": x[i], "right": x[i + 1], "bottom": y[j], "top": y[j + 1]}
        | {"lr": content["lr"][i], "weight_decay": content["weight_decay"][j]}
        | {"sign": _REGIMES[name][1] if i % across == j % up == 0 else ""}
        for i, row in enumerate(content["regimes"])
        for j, name in enumerate(row)
    ]
    note = (
        "Each cell is one run. Lines are the bounds of the linear PDE of each regime of the activation: solid with the "
        "kernel’s window (exact), dashed without (infinite). Marks tell the cells apart without colour."
    )
    if "sharpness" in content:
        note += " Dotted: lr = 2/λ, λ the sharpness of the minimum that a slow descent comes to at this weight decay."
    return Figure("phase", _title(cells), note, _chart(content, x, y), cells, height=_HEIGHT)


def edges(values: Sequence[float]) -> list[float]:
    """The borders of cells around ascending values: halfway between them, geometrically on a geometric grid."""
    if is_geometric(values):
        return [math.exp(edge) for edge in edges_between([math.log(value) for value in values])]
    return edges_between(values)


def edges_between(values: Sequence[float]) -> list[float]:
    """The midpoints of values, and as far beyond the outermost; a lone value gets a width of a tenth of it."""
    if len(values) == 1:
        half = abs(values[0]) / 20 or 0.5
        return [values[0] - half, values[0] + half]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(values)]
    return [2 * values[0] - middles[0], *middles, 2 * values[-1] - middles[-1]]


def is_geometric(values: Sequence[float]) -> bool:
    """Whether the values grow by a constant ratio, so that a logarithmic axis spaces them evenly."""
    if len(values) < 3 or values[0] <= 0:
        return False
    ratio = values[1] / values[0]
    return all(abs(b / a / ratio - 1) < 1e-6 for a, b in itertools.pairwise(values)) and ratio > 1


def _title(cells: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(cell["regime"] for cell in cells)
    words = {"stable": "are stable", "restrained": "are restrained", "blow-up": "blow up"}
    shares = joined(f"{percent(counts[name] / len(cells))} {words[name]}" for name in _REGIMES if counts[name])
    return f"Of {len(cells):,} runs {shares}"


def _chart(content: Mapping[str, Any], x: list[float], y: list[float]) -> alt.LayerChart:
    horizontal = alt.X("left:Q", scale=_scale(content["lr"], x), axis=_axis("learning rate Δt"))
    vertical = alt.Y("bottom:Q", scale=_scale(content["weight_decay"], y), axis=_axis("weight decay α"))
    names, legend = list(_REGIMES), alt.Legend(title="simulated", orient="top", symbolType="square", symbolSize=180)
    colours = alt.Scale(domain=names, range=[colour for colour, _ in _REGIMES.values()])
    base = alt.Chart(ROWS)
    cells = base.mark_rect(strokeWidth=0).encode(
        x=horizontal,
        x2="right:Q",
        y=vertical,
        y2="top:Q",
        color=alt.Color("regime:N", scale=colours, legend=legend),
        tooltip=["regime:N", alt.Tooltip("lr:Q", format=".4g"), alt.Tooltip("weight_decay:Q", format=".4g")],
    )
    curves = list(_segments(content, x, y))
    layers = [cells, _marks(base), *([_bounds(curves)] if curves else [])]
    if "sharpness" in content:
        layers.append(_edge(content, horizontal.copy(), vertical.copy()))
    chart: alt.LayerChart = alt.LayerChart(layer=layers).resolve_scale(color="independent")
    return chart


def _scale(values: Sequence[float], borders: list[float]) -> alt.Scale:
    ends = [borders[0], borders[-1]]
    if is_geometric(values):
        return alt.Scale(type="log", domain=ends, nice=False)
    return alt.Scale(type="linear", domain=ends, nice=False, zero=False)


def _axis(title: str) -> alt.Axis:
    return alt.Axis(title=title, grid=False, format=",.6~g", tickCount=8, labelOverlap=True)


def _marks(base: alt.Chart) -> alt.Chart:
    """A sign in the middle of a cell."""
    marks: alt.Chart = base.mark_text(fontSize=8, color="#1d2329", opacity=0.6)
    return marks.encode(x="lr:Q", y="weight_decay:Q", text="sign:N")


def _bounds(curves: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    regimes = [name for name in _LINES if any(curve["regime"] == name for curve in curves)]
    kinds = {curve["kind"]: _DASHES[curve["kind"]] for curve in curves}
    colours = alt.Scale(domain=regimes, range=[_LINES[name][0] for name in regimes])
    dashes = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    legend = alt.Legend(title="bounds of regime", orient="top", symbolSize=300, symbolStrokeWidth=3)
    window = alt.Legend(title="window", orient="top", symbolSize=500, symbolStrokeWidth=2)
    base = alt.Chart(alt.InlineData(values=list(curves))).encode(
        x="lr:Q",
        y="bound:Q",
        detail="curve:N",
        color=alt.Color("regime:N", scale=colours, legend=legend),
        strokeDash=alt.StrokeDash("kind:N", scale=dashes, legend=window),
    )
    return alt.LayerChart(
        layer=[
            base.transform_filter(f"datum.regime == '{name}'").mark_line(clip=True, strokeWidth=_LINES[name][1])
            for name in regimes
        ]
    )


def _edge(content: Mapping[str, Any], horizontal: alt.X, vertical: alt.Y) -> alt.Chart:
    """The learning rate 2 / sharpness at each weight decay, as a curve."""
    pairs = zip(content["weight_decay"], content["sharpness"], strict=True)
    points = [{"left": 2.0 / sharpness, "bottom": decay} for decay, sharpness in pairs if sharpness is not None]
    line: alt.Chart = alt.Chart(alt.InlineData(values=points)).mark_line(
        clip=True, color="#1d2329", strokeWidth=2.5, strokeDash=[2, 3]
    )
    return line.encode(x=horizontal, y=vertical, order="bottom:Q")


def _segments(content: Mapping[str, Any], x: list[float], y: list[float]) -> Iterator[dict[str, Any]]:
    """The points of the bounds that cross the picture, one of each set of curves that coincide."""
    seen: list[list[float]] = []
    for number, curve in enumerate(content["bounds"]):
        for end in ("lower", "upper"):
            values = curve[end]
            if values in seen or all(value is None or not y[0] < value < y[-1] for value in values):
                continue
            seen.append(values)
            for lr, value in zip(content["lr"], values, strict=True):
                if value is not None and (value > 0 or not is_geometric(content["weight_decay"])):
                    yield {"curve": f"{number} {end}", "lr": lr, "bound": value} | {
                        name: curve[name] for name in ("regime", "kind")
                    }
