"""The charts of two compared recipes: their runs, the difference and its interval, and what more runs would show."""

from typing import Any

import altair as alt

from lastbit.report.compared import Comparison, decimals, points
from lastbit.report.figure import ROWS, Figure
from lastbit.report.gain_chart import draw_gains, gain_rows
from lastbit.report.look import MUTED, colours, shapes
from lastbit.report.numbers import number

_ROW = 64  # pixels for each interval
_MANY = 24  # seeds beyond which a seed gets no place of its own


def compared_figures(content: Comparison) -> list[Figure]:
    """The charts in the order of reading."""
    return [_runs(content), _difference(content), _gains(content)]


def _runs(content: Comparison) -> Figure:
    names = [content[side]["name"] for side in "ab"]
    rows = [
        {"recipe": content[side]["name"], "seed": row["seed"], "noise": row["noise"], "value": row["value"]}
        for side in "ab"
        for row in content[side]["values"]
        if row["value"] is not None
    ]
    by_seed = content["paired"] is not None and len(content["a"]["seeds"]) <= _MANY
    note = (
        "Each point is one run; the bars of a seed join the two recipes’ means there, which is what is tested."
        if by_seed
        else "Each point is one run; the ticks are the recipes’ means."
    )
    means = (
        _pairs(content)
        if by_seed
        else [{"recipe": content[side]["name"], "mean": content[side]["mean"]} for side in "ab"]
    )
    chart = _by_seed(names, content) if by_seed else _strips(names, content)
    return Figure("runs", _runs_title(content, by_seed), note, chart, [*rows, *means])


def _pairs(content: Comparison) -> list[dict[str, Any]]:
    other = {row["seed"]: row["value"] for row in content["b"]["seed_means"]}
    return [
        {"seed": row["seed"], "mean_a": row["value"], "mean_b": other[row["seed"]]}
        for row in content["a"]["seed_means"]
        if row["seed"] in other
    ]


def _runs_title(content: Comparison, by_seed: bool) -> str:
    a, b, places = content["a"], content["b"], decimals(content)
    if by_seed:
        pairs = _pairs(content)
        above = sum(pair["mean_a"] > pair["mean_b"] for pair in pairs)
        return f"{a['name']} is above {b['name']} at {above} of {len(pairs)} seeds"
    means = [number(side["mean"], places) for side in (a, b)]
    return f"{a['name']} comes to {means[0]} on average, {b['name']} to {means[1]}"


def _value_axis(content: Comparison) -> alt.Axis:
    label = content["label"] or "value"
    return alt.Axis(title=f"{label} (%)" if content["unit"] else label, tickCount=6)


def _by_seed(names: list[str], content: Comparison) -> alt.LayerChart:
    scale = alt.Scale(zero=False)
    x = alt.X("seed:O", axis=alt.Axis(title="seed", labelAngle=0))
    bars = (
        alt.Chart(ROWS)
        .transform_filter("isValid(datum.mean_a)")
        .mark_rule(color=MUTED, strokeWidth=6, opacity=0.4)
        .encode(x=x, y=alt.Y("mean_a:Q", scale=scale, axis=_value_axis(content)), y2="mean_b:Q")
    )
    dots = (
        alt.Chart(ROWS)
        .transform_filter("isValid(datum.value)")
        .mark_point(filled=True, size=60, opacity=0.85)
        .encode(x=x, xOffset=alt.XOffset("recipe:N", scale=alt.Scale(domain=names)), **_dot(names, content))
    )
    return alt.LayerChart(layer=[bars, dots])


def _strips(names: list[str], content: Comparison) -> alt.LayerChart:
    x = alt.X("recipe:N", sort=names, axis=alt.Axis(title=None, labelAngle=0, labelLimit=150))
    dots = (
        alt.Chart(ROWS)
        .transform_filter("isValid(datum.value)")
        .mark_point(filled=True, size=60, opacity=0.6)
        .encode(x=x, **_dot(names, content))
    )
    ticks = (
        alt.Chart(ROWS)
        .transform_filter("isValid(datum.mean)")
        .mark_tick(thickness=3, size=46, color=MUTED)
        .encode(x=x, y=alt.Y("mean:Q", scale=alt.Scale(zero=False), axis=_value_axis(content)))
    )
    return alt.LayerChart(layer=[ticks, dots])


def _dot(names: list[str], content: Comparison) -> dict[str, Any]:
    legend = alt.Legend(title=None, orient="top", columns=2)
    return {
        "y": alt.Y("value:Q", scale=alt.Scale(zero=False), axis=_value_axis(content)),
        "color": alt.Color("recipe:N", scale=colours(names), legend=legend),
        "shape": alt.Shape("recipe:N", scale=alt.Scale(domain=names, range=shapes(2)), legend=legend),
        "tooltip": ["recipe:N", "seed:O", "noise:N", alt.Tooltip("value:Q", format=f".{decimals(content)}f")],
    }


def _difference(content: Comparison) -> Figure:
    if content["interval"] is None:
        return Figure("difference", "The difference has no interval", "It takes runs that do not all agree.")
    rows = _intervals(content)
    low, high = content["interval"]
    places, floor = decimals(content), content["noise_floor"]
    reach = "lies clear of 0" if low > 0 or high < 0 else "holds 0"
    title = f"The difference’s interval, {number(low, places)} to {number(high, places)}{points(content)}, {reach}"
    note = f"{content['a']['name']} minus {content['b']['name']}: points are the difference, lines its 95 % intervals."
    if floor is not None:
        note += (
            f" In the grey band, ± {number(floor, places)}{points(content)}, lie nineteen of twenty differences that "
            "the last bit alone makes between two single runs of one recipe and seed."
        )
    return Figure("difference", title, note, _draw_intervals(rows, floor, content), rows, height=_ROW * len(rows) + 20)


def _intervals(content: Comparison) -> list[dict[str, Any]]:
    used = content["paired"] or content["unpaired"]
    found = [("on this test set" if content["examples"] else "of the runs", used)]
    if content["examples"] is not None:
        found.append(("on any test set", content["examples"]["any_test_set"]))
    return [{"over": over, **{key: test[key] for key in ("difference", "lower", "upper")}} for over, test in found]


def _draw_intervals(rows: list[dict[str, Any]], floor: float | None, content: Comparison) -> alt.LayerChart:
    order = [row["over"] for row in rows]
    axis = alt.Axis(title=_with_unit("difference", content), tickCount=6)
    x = alt.Scale(zero=True)
    base = alt.Chart(ROWS).encode(y=alt.Y("over:N", sort=order, axis=alt.Axis(title=None, grid=False)))
    dots = base.mark_point(filled=True, size=140, opacity=1).encode(
        x=alt.X("difference:Q", scale=x, axis=axis),
        tooltip=["over:N", *(alt.Tooltip(f"{key}:Q", format=".3~f") for key in ("difference", "lower", "upper"))],
    )
    lines = base.mark_rule(strokeWidth=3, opacity=0.6).encode(x=alt.X("lower:Q", scale=x, axis=axis), x2="upper:Q")
    one = alt.Chart(ROWS).transform_filter(alt.FieldEqualPredicate(field="over", equal=order[0]))
    zero = one.mark_rule(color=MUTED, strokeDash=[4, 4], strokeWidth=1.5).encode(x=alt.XDatum(0, scale=x, axis=axis))
    if not floor:
        return alt.LayerChart(layer=[zero, lines, dots])
    band = one.mark_rect(color=MUTED, opacity=0.18).encode(
        x=alt.XDatum(-floor, scale=x, axis=axis), x2=alt.X2Datum(floor)
    )
    return alt.LayerChart(layer=[band, zero, lines, dots])


def _gains(content: Comparison) -> Figure:
    gains, places = content["least_detectable_gain"], decimals(content)
    if not any(gains.values()):
        return Figure("gain", "The least detectable gain is not known", "It takes runs that do not all agree.")
    needed = content["runs_needed"]
    found = f"{number(abs(content['difference']), places)}{points(content)}"
    title = (
        f"A difference of {found} takes {needed} runs of each recipe"
        if needed is not None
        else "No number of runs that anybody makes would show so small a difference"
    )
    note = (
        "The gain that n runs of each recipe, every run with its own seed, tell from noise in 80 % of cases at 5 %, by "
        "the spread of these runs. The spread is an estimate, and so is the difference: more runs would move both."
    )
    rows = gain_rows(gains, None)
    chart = draw_gains(rows, _with_unit("gain", content), observed=content["difference"])
    return Figure("gain", title, note, chart, rows, height=260)


def _with_unit(label: str, content: Comparison) -> str:
    return f"{label} ({content['unit']})" if content["unit"] else label
