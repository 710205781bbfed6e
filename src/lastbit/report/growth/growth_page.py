"""The page of twins that part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.report.document import document
from lastbit.report.figure import Figure
from lastbit.report.growth.amplification_figure import amplification_figure
from lastbit.report.growth.distance_figure import distance_figure, flips_figure
from lastbit.report.growth.growth_table import fastest, jumps, level
from lastbit.report.growth.shape import GrowthShape
from lastbit.report.libraries import javascript
from lastbit.report.settings_table import facts, flat_settings
from lastbit.report.shape import checked
from lastbit.storage.files import write_output


def write_growth_page(content: Mapping[str, Any], path: Path) -> None:
    """Write one HTML page for a recipe's twins; it opens offline and asks for nothing else.

    Args:
        content: as `growth.json` holds it: `name`, `settings`, `seed`, `pairs`, `verdict`.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: it is of another shape, or holds no pair.
    """
    stored = as_growth(content)
    write_output(path, render_growth(stored, libraries=javascript()).encode("utf-8", "replace"))


def as_growth(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Twins as they are once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: they are of another shape, or there is none.
    """
    if isinstance(content, Mapping) and content.get("pairs") == []:
        raise LastbitError("these are not the results of growth: they hold no pair of runs")
    return checked(content, GrowthShape, "these are not the results of growth")


def render_growth(content: Mapping[str, Any], *, libraries: str) -> str:
    """The page's HTML.

    Args:
        content: as `growth.json` holds it, with None for what is not finite.
        libraries: JavaScript that defines `vegaEmbed`.
    """
    figures = growth_figures(content)
    return document(
        "growth.html.j2",
        specs={f"growth-{figure.name}": figure.spec() for figure in figures if figure.is_drawn},
        libraries=libraries,
        content=content,
        figures=figures,
        facts=facts(content),
        settings=flat_settings(content["settings"]),
        rows=[_row(pair) for pair in content["pairs"]],
    )


def growth_figures(content: Mapping[str, Any]) -> list[Figure]:
    """The charts, in the order of reading; the map is of the first pair."""
    pairs = content["pairs"]
    return [distance_figure(pairs), flips_figure(pairs), amplification_figure(pairs[0])]


def _row(pair: Mapping[str, Any]) -> tuple[str, ...]:
    found = pair["growth"]
    leaps = jumps(found["jumps"])
    flips = sum(jump["flips"] for jump in found["jumps"])
    accuracy = " / ".join(f"{value:.2f}" for value in pair["test_accuracy"])
    return (
        pair["noise"],
        fastest(found["segments"]),
        leaps,
        f"{flips:,}" if found["jumps"] and pair["activations"] else "–",
        level(found["saturation"]),
        accuracy,
        f"{pair['churn']:.2f}",
    )
