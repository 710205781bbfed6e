"""Theory against simulation: errors against tolerances, orders of convergence, predicted and measured growth."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Level
from lastbit.report.charts.dots import Dot, Reference, dot_chart
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import joined, scientific

_ROW = 26  # pixels of a case
_MARGIN = 20


def agreement_figure(
    rows: Sequence[Mapping[str, Any]], *, name: str, title: str, note: str, tolerances: Mapping[str, float]
) -> Figure:
    """A mark for each difference between two ways to compute the same thing, and a line at each tolerance.

    Args:
        rows: `case`, `kind` and `error` of each; an error of 0 is drawn at the foot of the axis.
        name: fit for a file name.
        title: the finding, such as one that ends in `agreement`.
        note: how to read it.
        tolerances: largest error allowed, by kind.
    """
    cases = list(dict.fromkeys(row["case"] for row in rows))
    chart = dot_chart(
        [Dot(row["case"], row["error"], row["kind"]) for row in rows],
        groups=cases,
        value=Axis("relative difference", name="difference", log=True, format=".2e"),
        kinds=list(tolerances),
        upright=False,
        behind=[Reference(value, kind) for kind, value in tolerances.items()],
        height=_ROW * len(cases) + _MARGIN,
    )
    return Figure(name, title, note, chart)


def agreement(rows: Sequence[Mapping[str, Any]], tolerances: Mapping[str, float]) -> str:
    """The largest difference of each kind in words, or how many are too large; arguments as for `agreement_figure`."""
    if over := sum(row["error"] > tolerances[row["kind"]] for row in rows):
        return f"{over} of {len(rows)} differences are too large"
    return f"at most {_worst(rows, tolerances)} apart"


def _worst(rows: Sequence[Mapping[str, Any]], kinds: Iterable[str]) -> str:
    largest = {kind: max((row["error"] for row in rows if row["kind"] == kind), default=None) for kind in kinds}
    words = {kind: scientific(error) for kind, error in largest.items() if error is not None}
    if len(words) == 1:
        return next(iter(words.values()))
    return joined(f"{error} ({kind})" for kind, error in words.items())


def order_figure(
    series: Sequence[Mapping[str, Any]], *, name: str, title: str, note: str, x_title: str, y_title: str
) -> Figure:
    """Errors against the size that they fall with; a power law is straight, and its order is the slope.

    Args:
        series: `name`, and lists `size` (positive) and `error`.
        name: fit for a file name.
        title: the finding.
        note: how to read it.
        x_title: of the sizes.
        y_title: of the errors.
    """
    chart = line_chart(
        [Curve(part["name"], part["size"], part["error"]) for part in series],
        x=Axis(x_title, name="size", log=True, format=".3g"),
        y=Axis(y_title, name="error", log=True, format=".2e"),
        marks="points",
        columns=2,
    )
    return Figure(name, title, note, chart)


def growth_factor_figure(cases: Sequence[Mapping[str, Any]], *, name: str, title: str) -> Figure:
    """Lines for the predicted amplification factor, marks for the measured one, over the place between the bounds.

    Args:
        cases: `name`, and for each of `runs` its `position` between the lower bound (0) and the upper one (1), and the
            `predicted` and the `measured` factor.
        name: fit for a file name.
        title: the finding.
    """
    curves = []
    for case in cases:
        places = [run["position"] for run in case["runs"]]
        curves.append(Curve(case["name"], places, [run["predicted"] for run in case["runs"]]))
        curves.append(Curve(case["name"], places, [run["measured"] for run in case["runs"]], style="points"))
    note = (
        "Lines: the largest |A| of the theory. Marks: the factor by which the updates of a simulation grow in a step. "
        "The linear PDE is stable below the dashed line; weight decays between the bounds lie between 0 and 1."
    )
    chart = line_chart(
        curves,
        x=Axis("weight decay: 0 at the lower bound, 1 at the upper", name="place"),
        y=Axis("growth of updates in a step", name="factor"),
        levels=[Level(1.0, "1")],
        columns=2,
    )
    return Figure(name, title, note, chart)
