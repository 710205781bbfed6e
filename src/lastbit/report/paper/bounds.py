"""Bounds on weight decay, by kernel size and by regime: Tables 2, 3 and 9."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Style
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
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
    figures = [_window_figure(each, f"{name}-{each['image']}-{each['boundary']}") for each in series]
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
    rows = [_window_cells(each, row) for each in series for row in each["rows"]]
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


# Region, linear PDE on the window, and stability condition, with D(u) = Σ_x I(x + u) and G = I ⋆ (I ⋆ ·).
_REGIMES = {
    "activated": ("βz > 1", "K_t = −(σ′ D Dᵀ K + a D + αK)", "0 < Δt (α + σ′ λ) < 2 for the eigenvalues λ of D Dᵀ"),
    "transitioning": (
        "|βz| ≤ 1",
        "K_t = −(a/2)(D + β G K) − αK",
        "0 < Δt (α + (aβ/2) λ) < 2 for the eigenvalues λ of G",
    ),
    "not activated": ("βz < −1", "K_t = −αK", "0 < Δt α < 2"),
}


def regimes_table(result: Mapping[str, Any]) -> Table:
    """Table 3: each regime's region, linear PDE and condition, and for each case its bounds on weight decay.

    Args:
        result: for each of `cases` its `name`, `lr`, and for each of `rows` its `regime`, `lower` and `upper`.
    """
    cases = result["cases"]
    names = [f"{case['name']}: α at Δt = {significant(case['lr'])}" for case in cases]
    columns = ["regime", "region", "linear PDE", "stable iff", *names]
    rows = [[regime, *theory, *(_regime_bounds(case, regime) for case in cases)] for regime, theory in _REGIMES.items()]
    first = _regime_row(cases[0], "transitioning")
    title = (
        "The transitioning regime alone needs weight decay: "
        f"at least {significant(first['lower'])} for {cases[0]['name']}’s settings"
    )
    note = (
        "The linear PDE on the kernel’s window in each regime of Swish, its stability condition and the exact bounds "
        "on weight decay. D is the sum of the image as each kernel entry sees it, G the Gram operator of its patches."
    )
    needy = {row["regime"] for case in cases for row in case["rows"] if row["lower"] > 0}
    finding = title if needy == {"transitioning"} else "Bounds of three regimes"
    return Table("table3", finding, columns, rows, note, align="l" * len(columns))


def _regime_bounds(case: Mapping[str, Any], regime: str) -> str:
    row = _regime_row(case, regime)
    if row["lower"] >= row["upper"]:
        return f"none (above {significant(row['lower'])} and below {significant(row['upper'])})"
    return f"{significant(row['lower'])} to {significant(row['upper'])}"


def _regime_row(case: Mapping[str, Any], regime: str) -> Mapping[str, Any]:
    return next(row for row in case["rows"] if row["regime"] == regime)
