"""The page of a sharpness series: one HTML file that holds everything it needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lastbit.report.account import cuts
from lastbit.report.document import document
from lastbit.report.libraries import javascript
from lastbit.report.numbers import MISSING
from lastbit.report.pde.significant import significant
from lastbit.report.settings_table import flat_settings
from lastbit.report.sharpness.certificates import method, standings
from lastbit.report.sharpness.figures import sharpness_figures
from lastbit.report.sharpness.stored import Series, as_stored
from lastbit.storage.files import write_output

_COLUMNS = ("loss", "sharpness", "residual", "edge", "normalised")
_PARTS = ("rows", "losses", "recipe", "finding")  # shown elsewhere on the page


def write_sharpness(series: Series, path: Path) -> None:
    """Write the page of a series; it opens offline and asks for nothing else.

    Args:
        series: as `sharpness.json` holds it.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: this is no series.
    """
    page = render(as_stored(series), libraries=javascript())
    write_output(Path(path), page.encode("utf-8", "replace"))


def render(series: Series, *, libraries: str) -> str:
    """The page's HTML.

    Args:
        series: as `as_stored` gives it.
        libraries: JavaScript that defines `vegaEmbed`, as `javascript()` gives it.
    """
    figures = sharpness_figures(series)
    recipe = series["recipe"]
    return document(
        "sharpness.html.j2",
        specs={f"series-{figure.name}": figure.spec() for figure in figures if figure.is_drawn},
        libraries=libraries,
        name=recipe["name"],
        description=str(recipe.get("description") or "").rstrip("."),
        finding=series["finding"],
        standings=standings(series),
        cuts=cuts({"settings": recipe}),
        facts=_facts(series),
        figures=figures,
        method=method(series),
        columns=("step", *_COLUMNS[:-1], "normalised (2: edge)", "products"),
        rows=[_cells(row) for row in series["rows"]],
        settings=[*flat_settings(recipe), *flat_settings(_asked(series))],
    )


def _facts(series: Series) -> list[tuple[str, str]]:
    optimizer, model = series["recipe"]["optimizer"], series["recipe"]["model"]
    batch = series["recipe"]["batch_size"]
    images = f"{series['measured_images']:,} images"
    return [
        ("network", f"{model['name']}, {series['parameters']:,} parameters"),
        ("data", str(series["recipe"]["data"]["name"])),
        ("batch", f"all {images}" if series["full_batch"] else f"{batch}, measured on {images}"),
        ("optimizer", str(optimizer["name"])),
        ("learning rate", significant(optimizer["lr"])),
        ("weight decay", significant(optimizer["weight_decay"])),
        ("number format", str(series["recipe"]["dtype"])),
    ]


def _cells(row: Mapping[str, Any]) -> list[str]:
    numbers = [MISSING if row[name] is None else significant(row[name]) for name in _COLUMNS]
    return [f"{row['step']:,}", *numbers, "diverged" if row["diverged"] else str(row["matvecs"])]


def _asked(series: Series) -> dict[str, Any]:
    return {name: value for name, value in series.items() if name not in _PARTS}
