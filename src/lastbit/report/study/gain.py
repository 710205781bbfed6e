"""The least gain that so many runs show."""

from collections.abc import Mapping

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Level
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.study.naming import ShownMetric, metric_of
from lastbit.report.study.stored import StudyJson

_HEIGHT = 260  # pixels
_TITLED = "6"  # runs that the title speaks of


def gain_figure(study: StudyJson) -> Figure:
    """What comparisons with another recipe of this spread could find."""
    gains, spread = study["least_detectable_gain"], study["std"]["seed"]["pooled"]
    if gains is None or spread["std"] == 0:
        reason = "It takes finished runs of at least two seeds that do not all agree."
        return Figure("gain", "The least detectable gain is not known", reason)
    metric = metric_of(study)
    note = (
        f"The gain of another recipe that n runs of each, every run with its own {metric.own}, tell from noise in 80 "
        "% of cases (two-sided Welch’s t test at 5 %, noncentral t). The band is the 95 % interval that comes from "
        f"knowing the spread of single runs only as {metric.spread(spread['std'])}{metric.points} "
        f"({metric.interval(spread)})."
    )
    least = f"{metric.spread(gains[_TITLED])}{metric.points}"
    return Figure(
        "gain",
        f"With {_TITLED} runs of each recipe, gains below {least} mostly go unseen",
        note + _floor(study["noise_floor"], metric),
        gain_chart(
            gains, f"gain{metric.bracket}", interval=(spread["lower"] / spread["std"], spread["upper"] / spread["std"])
        ),
    )


def _floor(noise_floor: float | None, metric: ShownMetric) -> str:
    if noise_floor is None:
        return ""
    return (
        " The noise floor: the last bit alone sets two single runs of one recipe and seed "
        f"{metric.spread(noise_floor)}{metric.points} or more apart in one case of twenty."
    )


def gain_chart(
    gains: Mapping[str, float],
    title: str,
    *,
    interval: tuple[float, float] | None = None,
    observed: float | None = None,
) -> Chart:
    """Least gain against runs, both on logarithmic axes, since one falls about as the root of the other.

    Args:
        gains: least detectable gain by number of runs.
        title: of the vertical axis.
        interval: of the spread, as shares of the spread; None where it is not known.
        observed: a difference that was found, drawn across.
    """
    points = sorted((int(runs), gain) for runs, gain in gains.items())
    runs = [number for number, _ in points]
    least = [gain for _, gain in points]
    band = None
    if interval is not None:
        band = ([gain * interval[0] for gain in least], [gain * interval[1] for gain in least])
    curve = Curve("least detectable gain", runs, least, band=band)
    levels = [Level(abs(observed), "difference found")] if observed else []
    x = Axis("runs of each recipe", name="runs", log=True, counts=True, ticks=tuple(runs), format=",d")
    return line_chart(
        [curve],
        x=x,
        y=Axis(title, name="least gain", log=True, format=".3~g"),
        levels=levels,
        at="right",
        marks="points",
        height=_HEIGHT,
    )
