"""Colours, shapes and type of every chart, in light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
INK = {"light": "#1d2329", "dark": "#e4e7ea"}
FAINT = {"light": "#dfe3e7", "dark": "#3a4148"}
MUTED = "#78828b"  # legible on both grounds: reference lines and what stands behind
WARM, COOL = "#D55E00", "#0072B2"  # what grows, and what shrinks

# Okabe and Ito's palette, told apart with any kind of colour vision; without its black, which a dark page would
# swallow, with its two blues in the order that stands out, and with its yellow last, since it is faint on white.
_HUES = ["#D55E00", "#009E73", "#CC79A7", "#E69F00"]
_PALETTE = {
    "light": ["#0072B2", *_HUES, "#56B4E9", "#F0E442"],
    "dark": ["#56B4E9", *_HUES, "#0072B2", "#F0E442"],
}
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 2, 1, 2], [16, 3]]
DASHED = [5, 4]


@dataclass(frozen=True)
class RegimeLook:
    """How one of the regimes of training is drawn: told apart in grey too, and with any colour vision."""

    fill: str  # of an area
    line: str  # the same hue, dark enough for a line on white
    sign: str  # in the cells of a map


REGIMES = {
    "stable": RegimeLook("#56B4E9", "#0072B2", ""),
    "restrained": RegimeLook("#F0E442", "#E69F00", "•"),
    "blow-up": RegimeLook("#D55E00", "#D55E00", "✕"),
}
REGIME_LINES = {name: look.line for name, look in REGIMES.items()}


def colours(names: Sequence[str], given: Mapping[str, str] | None = None) -> alt.Scale:
    """The colour scale of these categories: the palette of the page's ground, or viridis where it runs out.

    Args:
        names: of the categories, in order.
        given: the colour of each, where they are fixed.
    """
    domain = list(names)
    if given:
        return alt.Scale(domain=domain, range=[given[name] for name in domain])
    few = len(domain) <= len(_PALETTE["light"])
    return alt.Scale(domain=domain) if few else alt.Scale(domain=domain, scheme="viridis")


def shapes(names: Sequence[str]) -> alt.Scale:
    """The shape of each category's marks; they repeat after seven."""
    return alt.Scale(domain=list(names), range=[_SHAPES[i % len(_SHAPES)] for i in range(len(names))])


def dashes(names: Sequence[str]) -> alt.Scale:
    """The dashes of each category's lines; they repeat after seven."""
    return alt.Scale(domain=list(names), range=[_DASHES[i % len(_DASHES)] for i in range(len(names))])


def config(ground: str) -> dict[str, Any]:
    """Vega-Lite's configuration.

    Args:
        ground: `light` or `dark`.
    """
    ink, faint = INK[ground], FAINT[ground]
    labels = {
        "labelColor": ink,
        "titleColor": ink,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    axis = {"gridColor": faint, "domainColor": MUTED, "tickColor": MUTED, "titlePadding": 8, "labelPadding": 5}
    return {
        "background": "transparent",
        "font": FONT,
        "range": {"category": _PALETTE[ground]},
        "mark": {"color": _PALETTE[ground][0]},
        "axis": labels | axis,
        # On a narrow screen labels side by side would touch: those without room are left out.
        "axisX": {"labelOverlap": "greedy", "labelSeparation": 8},
        "legend": labels | {"symbolSize": 90, "labelLimit": 280, "titleLimit": 280, "titlePadding": 4},
        "title": {"color": ink, "subtitleColor": ink, "anchor": "start", "fontSize": 15, "subtitleFontSize": 12},
        "view": {"stroke": None},
        "line": {"strokeWidth": 1.6},
        "text": {"color": ink, "fontSize": 11},
    }
