"""What Tables 2 and 9 draw: bounds on weight decay by kernel size, as charts and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.report.charts import Axis, Curve, Figure, line_chart
from lastbit.report.charts.curves import Style
from lastbit.report.numbers import significant
from lastbit.report.table import Table

_WINDOWS = ("simulated", "exact", "pixel", "infinite")


def window_bounds_drawings(result: Mapping[str, Any], *, name: str) -> list[Figure | Table]:
    """Tables 2 and 9: bounds on weight decay by kernel size, a chart of each series and one table.

    Args:
        result: for each of `series` its `image`, `size`, `boundary`, `lr`, and for each of `rows` its `kernel` and the
            `lower` and `upper` bounds that were `simulated` (None where no weight decay was found stable) and of the
            `exact`, `pixel` and `infinite` windows.
        name: of the item; the files are called after it.
    """
    series = result["series"]
    figures = [_window_figure(part, f"{name}-{part['image']}-{part['boundary']}") for part in series]
    return [*figures, _window_table(series, name)]


def _window_figure(series: Mapping[str, Any], name: str) -> Figure:
    first, last = series["rows"][0], series["rows"][-1]
    title = (
        f"From W = {first['kernel']} to {last['kernel']} the least stable weight decay goes from "
        f"{significant(first['exact']['lower'])} to {significant(last['exact']['lower'])}; the infinite window’s is "
        f"{significant(last['infinite']['lower'])}"
    )
    note = (
        f"{_image(series)}, learning rate {significant(series['lr'])}. Stable weight decays lie between a solid line "
        "(lower bound) and the dashed one of the same colour (upper bound). Marks are the lower and upper bounds found "
        "by bisecting simulations; where they are missing, no weight decay was stable."
    )
    kernels = tuple(row["kernel"] for row in series["rows"])
    chart = line_chart(
        list(_window_curves(series["rows"])),
        x=Axis("kernel side W in pixels", name="W", log=True, counts=True, ticks=kernels),
        y=Axis("weight decay α", name="bound", log=True),
    )
    return Figure(name, title, note, chart)


def _window_curves(rows: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    for kind in _WINDOWS:
        known = [row for row in rows if row[kind] is not None]
        for end in ("lower", "upper"):
            style: Style = "points" if kind == "simulated" else "line" if end == "lower" else "dashed"
            bounds = [max(row[kind][end], 0.0) for row in known]
            yield Curve(kind, [row["kernel"] for row in known], bounds, style=style, names={"bound": end})


def _window_table(series: Sequence[Mapping[str, Any]], name: str) -> Table:
    columns = ["image", "boundary", "W", *(f"{kind} {end}" for kind in _WINDOWS for end in ("lower", "upper"))]
    rows = [_window_cells(part, row) for part in series for row in part["rows"]]
    note = (
        "Weight decays between which the linear PDE is stable. Simulated: found by bisecting runs; none: no weight "
        "decay was stable. Exact: from the extreme eigenvalues of the windowed operator. Pixel: eq. 19. Infinite: "
        "eq. 14."
    )
    return Table(name, f"Bounds on weight decay at {len(rows)} kernel sizes", columns, rows, note, align="ll" + "r" * 9)


def _window_cells(series: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    bounds = [
        "none" if row[kind] is None else significant(row[kind][end]) for kind in _WINDOWS for end in ("lower", "upper")
    ]
    return [_image(series), series["boundary"], str(row["kernel"]), *bounds]


def _image(series: Mapping[str, Any]) -> str:
    return f"{series['image']} {series['size']} × {series['size']}"
