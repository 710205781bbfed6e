"""Colours, shapes and type of every chart, in light and dark."""

from typing import Any

import altair as alt

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
INK = {"light": "#1d2329", "dark": "#e4e7ea"}
FAINT = {"light": "#dfe3e7", "dark": "#3a4148"}
MUTED = "#78828b"  # legible on both grounds: reference lines and what stands behind

# Okabe and Ito's palette, told apart with any kind of colour vision; without its black, which a dark page would
# swallow, with its two blues in the order that stands out, and with its yellow last, since it is faint on white.
_HUES = ["#D55E00", "#009E73", "#CC79A7", "#E69F00"]
_PALETTE = {
    "light": ["#0072B2", *_HUES, "#56B4E9", "#F0E442"],
    "dark": ["#56B4E9", *_HUES, "#0072B2", "#F0E442"],
}
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]


def colours(names: list[str]) -> alt.Scale:
    """The colour scale of these categories: the palette of the page's ground, or viridis where it runs out."""
    few = len(names) <= len(_PALETTE["light"])
    return alt.Scale(domain=names) if few else alt.Scale(domain=names, scheme="viridis")


def shapes(count: int) -> list[str]:
    """A mark's shape for each of so many categories; they repeat after seven."""
    return [_SHAPES[i % len(_SHAPES)] for i in range(count)]


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
        "legend": labels | {"symbolSize": 90, "labelLimit": 280, "titleLimit": 280, "titlePadding": 4},
        "title": {"color": ink, "subtitleColor": ink, "anchor": "start", "fontSize": 15, "subtitleFontSize": 12},
        "view": {"stroke": None},
        "line": {"strokeWidth": 1.6},
        "text": {"color": ink, "fontSize": 11},
    }
