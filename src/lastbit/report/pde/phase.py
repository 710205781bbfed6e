"""The phase diagram: what training does over learning rate and weight decay, with the theory's bounds over it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lastbit.report.charts.figure import Figure, write_figures
from lastbit.report.charts.heat_map import Kinds, Overlay, OverlayLook, grid_axis, heat_map, is_geometric, marked
from lastbit.report.charts.look import INK, REGIMES
from lastbit.report.numbers import joined, percent

_HEIGHT = 480
_EDGE = "lr = 2/λ"
_LOOK = OverlayLook(
    colours={"transitioning": "#000000", "activated": "#CC79A7", "not activated": "#009E73", _EDGE: INK["light"]},
    widths={"transitioning": 4, "activated": 2.5, "not activated": 1.2, _EDGE: 2.5},
    dashes={"exact": [1, 0], "infinite": [6, 4], "minimum": [2, 3]},
    titles=("bounds of regime", "window"),
)


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
    rates, decays = content["lr"], content["weight_decay"]
    (x, left), (y, bottom) = grid_axis("learning rate Δt", rates), grid_axis("weight decay α", decays)
    cells = [
        {"shown": name, "left": left[i], "right": left[i + 1], "bottom": bottom[j], "top": bottom[j + 1]}
        | {"lr": rates[i], "weight_decay": decays[j], "middle": rates[i], "centre": decays[j]}
        | {"sign": REGIMES[name].sign if marked(i, len(rates)) and marked(j, len(decays)) else ""}
        for i, row in enumerate(content["regimes"])
        for j, name in enumerate(row)
    ]
    note = (
        "Each cell is one run. Lines are the bounds of the linear PDE of each regime of the activation: solid with the "
        "kernel’s window (exact), dashed without (infinite). Marks tell the cells apart without colour."
    )
    if "sharpness" in content:
        note += " Dotted: lr = 2/λ, λ the sharpness of the minimum that a slow descent comes to at this weight decay."
    chart = heat_map(
        cells,
        x=x,
        y=y,
        colour=Kinds("simulated", {name: look.fill for name, look in REGIMES.items()}),
        tooltip={"shown": "", "lr": ".4g", "weight_decay": ".4g"},
        overlays=[*_bounds(content, bottom), *_edge(content)],
        look=_LOOK,
        height=_HEIGHT,
    )
    return Figure("phase", _title(cells), note, chart)


def _title(cells: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(cell["shown"] for cell in cells)
    words = {"stable": "are stable", "restrained": "are restrained", "blow-up": "blow up"}
    shares = joined(f"{percent(counts[name] / len(cells))} {words[name]}" for name in REGIMES if counts[name])
    return f"Of {len(cells):,} runs {shares}"


def _bounds(content: Mapping[str, Any], borders: Sequence[float]) -> Iterator[Overlay]:
    """The bounds that cross the picture, one of each set of curves that coincide."""
    seen: list[list[float | None]] = []
    only_positive = is_geometric(content["weight_decay"])
    for curve in content["bounds"]:
        for end in ("lower", "upper"):
            values = curve[end]
            if values in seen or all(value is None or not borders[0] < value < borders[-1] for value in values):
                continue
            seen.append(values)
            drawn = [value if value is not None and (value > 0 or not only_positive) else None for value in values]
            yield Overlay(curve["regime"], content["lr"], drawn, curve["kind"])


def _edge(content: Mapping[str, Any]) -> list[Overlay]:
    """The learning rate 2 / sharpness at each weight decay, where the sharpness is known."""
    pairs = zip(content.get("sharpness", ()), content["weight_decay"], strict=False)
    known = [(2.0 / sharpness, decay) for sharpness, decay in pairs if sharpness is not None]
    return [Overlay(_EDGE, [lr for lr, _ in known], [decay for _, decay in known], "minimum")] if known else []
