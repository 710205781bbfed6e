"""The page of two compared recipes, its charts and its tables, whose rows a terminal prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Dot, GreyBand, Mean, Reference, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.comparison.moves import moves_blocks
from lastbit.report.comparison.stored import ComparedJson, decimals, mcnemar_sentence, points, with_unit
from lastbit.report.numbers import MISSING, axis_format, number, p_in_words
from lastbit.report.page import Block, Heading, Page, Section, Text
from lastbit.report.settings import differences
from lastbit.report.study.spread import gain_chart
from lastbit.report.table import Table

_ROW = 64  # pixels for each interval
_ENDS = ("lower", "upper")
_MANY = 24  # seeds beyond which a seed gets no place of its own
_T_NAMES = {"paired t": "pairs of seeds (t)", "Welch t": "two samples (Welch’s t)"}


def comparison_page(content: ComparedJson) -> Page:
    """The page.

    Args:
        content: as `as_compared` gives it.
    """
    a, b = content["a"]["name"], content["b"]["name"]
    doubts = [Text(doubt, "standing doubt") for doubt in content["doubts"]]
    verdict = Section("", [*doubts, Text(content["finding"], "finding")], "verdict")
    return Page(
        name="compare",
        title=f"{a} against {b} – what the difference is worth",
        heading=f"{a} against {b}",
        header=[verdict],
        body=[
            sides_table(content),
            runs_figure(content),
            difference_figure(content),
            gains_figure(content),
            difference_table(content),
            *moves_blocks(content.get("moves"), new=a, old=b),
            *_differing([content["a"], content["b"]]),
        ],
    )


def _differing(sides: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The settings that differ, where both recipes are known."""
    if any(side["settings"] is None for side in sides):
        return []
    table = differences([(side["name"], side["settings"]) for side in sides])
    return [Heading("What the recipes differ in", 3), table] if table.rows else []


def sides_table(content: ComparedJson) -> Table:
    """Each recipe: the mean that is compared, its seeds and runs, and the runs that count nowhere."""
    places = decimals(content)
    rows = [
        [
            side["name"],
            number(side["mean"], places),
            str(len(side.get("compared_seeds") or side["seeds"])),
            str(side.get("compared_runs") or side["runs"]),
            "; ".join([*side["lost"], *(f"{seed} (not compared)" for seed in side.get("left_out", []))]) or "none",
        ]
        for side in (content["a"], content["b"])
    ]
    return Table("sides", "", ["recipe", "mean", "seeds", "runs", "not counted"], rows, align="lrrrl")


def difference_table(content: ComparedJson) -> Table:
    """Each test of the difference."""
    rows = [
        _t_row(_T_NAMES[test["kind"]], test, content)
        for test in (content["paired"], content["unpaired"])
        if test is not None
    ]
    permutation = content["permutation"]
    name = "flipped signs" if content["paired"] is not None else "exchanged runs"
    kind = "all" if permutation["exact"] else "20,000 random"
    least = f"p ≥ {permutation['least_p']:.2g}"
    rows.append([f"permutations ({name}, {kind})", MISSING, p_in_words(permutation["p"]), least])
    if content["examples"] is not None:
        rows.append(_t_row(_over_test_sets(content), content["examples"]["any_test_set"], content))
    note = (
        "Runs that share a seed are not independent: their mean is one value, and seeds are what is counted. Where "
        f"both studies have the same seeds the pairs decide, otherwise the two samples do. {mcnemar_sentence(content)}"
    )
    columns = ["test of the difference", "95 % interval", "p", "rests on"]
    return Table("tests", "The tests in numbers", columns, rows, note.rstrip(), align="lrrl")


def _over_test_sets(content: ComparedJson) -> str:
    """The row's label; the interval of a test with more degrees of freedom is held to that on this test set."""
    here, everywhere = content["paired"] or content["unpaired"], content["examples"]["any_test_set"]
    is_held = here["lower"] is not None and [here[end] for end in _ENDS] == [everywhere[end] for end in _ENDS]
    return "over other test sets" + (" (not narrower than on this test set)" if is_held else "")


def _t_row(label: str, test: Mapping[str, Any], content: ComparedJson) -> list[str]:
    places = decimals(content)
    varies = test["lower"] is not None
    interval = f"{number(test['lower'], places)} to {number(test['upper'], places)}" if varies else MISSING
    p = p_in_words(test["p"]) if varies else MISSING  # where nothing varies, any difference at all would be certain
    return [label, interval, p, _degrees(test["dof"])]


def _degrees(dof: float) -> str:
    number_of = f"{dof:.1f}".removesuffix(".0")
    return f"{number_of} degree{'' if number_of == '1' else 's'} of freedom"


def two_figures(content: ComparedJson) -> list[Figure]:
    """The charts in the order of reading."""
    moved = moves_blocks(content.get("moves"), new=content["a"]["name"], old=content["b"]["name"])
    classes = [block for block in moved if isinstance(block, Figure)]
    return [runs_figure(content), difference_figure(content), gains_figure(content), *classes]


def runs_figure(content: ComparedJson) -> Figure:
    """Every run of both recipes: seed by seed where they share seeds, else side by side."""
    by_seed = content["paired"] is not None and len(content["a"]["seeds"]) <= _MANY
    if by_seed:
        note = "Each point is one run; the bars of a seed join the two recipes’ means there, which is what is tested."
        return Figure("runs", _above(content), note, _by_seed(content))
    means = [f"{number(content[side]['mean'], decimals(content))}" for side in "ab"]
    a, b = content["a"]["name"], content["b"]["name"]
    title = f"{a} comes to {means[0]} on average, {b} to {means[1]}"
    return Figure("runs", title, "Each point is one run; the ticks are the recipes’ means.", _strips(content))


def _above(content: ComparedJson) -> str:
    pairs = _pairs(content)
    above = sum(a > b for _, a, b in pairs)
    return f"{content['a']['name']} is above {content['b']['name']} at {above} of {len(pairs)} seeds"


def _pairs(content: ComparedJson) -> list[tuple[int, float, float]]:
    """Each seed that both recipes have, with their means there."""
    other = {row["seed"]: row["value"] for row in content["b"]["seed_means"]}
    return [
        (row["seed"], row["value"], other[row["seed"]])
        for row in content["a"]["seed_means"]
        if row["value"] is not None and other.get(row["seed"]) is not None
    ]


def _by_seed(content: ComparedJson) -> Chart:
    return dot_chart(
        [
            Dot(row["seed"], row["value"], content[side]["name"], {"noise": row["noise"]})
            for side in "ab"
            for row in content[side]["values"]
            if row["value"] is not None
        ],
        groups=content["a"]["seeds"],
        group_title="seed",
        value=_value_axis(content),
        kinds=[content[side]["name"] for side in "ab"],
        beside=True,
        behind=[Span(seed, min(a, b), max(a, b), width=6) for seed, a, b in _pairs(content)],
    )


def _strips(content: ComparedJson) -> Chart:
    names = [content[side]["name"] for side in "ab"]
    return dot_chart(
        [
            Dot(name, row["value"], name, {"seed": row["seed"], "noise": row["noise"]})
            for side, name in zip("ab", names, strict=True)
            for row in content[side]["values"]
            if row["value"] is not None
        ],
        groups=names,
        value=_value_axis(content),
        kinds=names,
        behind=[Mean(content[side]["name"], content[side]["mean"]) for side in "ab"],
    )


def _value_axis(content: ComparedJson) -> Axis:
    label = content["label"] or "value"
    title = f"{label} (%)" if content["unit"] else label
    return Axis(title, name=label, format=axis_format(decimals(content)))


def difference_figure(content: ComparedJson) -> Figure:
    """The difference with its intervals, against 0 and the noise floor."""
    if content["interval"] is None:
        return Figure("difference", "The difference has no interval", "It takes runs that do not all agree.")
    low, high = content["interval"]
    places, floor = decimals(content), content["noise_floor"]
    reach = "lies clear of 0" if low > 0 or high < 0 else "holds 0"
    title = f"The difference’s interval, {number(low, places)} to {number(high, places)}{points(content)}, {reach}"
    note = f"{content['a']['name']} minus {content['b']['name']}: points are the difference, lines its 95 % intervals."
    if floor:  # of 0 where no run differed, which is no floor
        note += (
            f" The grey band, ± {number(floor, places)}{points(content)}, is the noise floor of both recipes "
            "pooled: nineteen of twenty differences that the last bit alone makes between two single runs of one "
            "recipe and seed lie in it. The page of each study has the floor of that study alone."
        )
    return Figure("difference", title, note, _intervals(content, floor))


def _intervals(content: ComparedJson, floor: float | None) -> Chart:
    tests = [("on this test set" if content["examples"] else "of the runs", content["paired"] or content["unpaired"])]
    if content["examples"] is not None:
        tests.append(("over other test sets", content["examples"]["any_test_set"]))
    names = [name for name, _ in tests]
    intervals = [Span(name, test["lower"], test["upper"]) for name, test in tests if test["lower"] is not None]
    return dot_chart(
        [Dot(name, test["difference"]) for name, test in tests],
        groups=names,
        value=Axis(with_unit("difference", content), name="difference", from_zero=True, format=".3~f"),
        upright=False,
        behind=[Reference(0.0), *intervals, *([GreyBand(-floor, floor)] if floor else [])],
        height=_ROW * len(names) + 20,
    )


def gains_figure(content: ComparedJson) -> Figure:
    """The gain that more runs would show, beside the difference that was found."""
    gains, places = content["least_detectable_gain"], decimals(content)
    if not any(gains.values()):
        return Figure("gain", "The least detectable gain is not known", "It takes runs that do not all agree.")
    needed = content["runs_needed"]
    difference = f"{number(abs(content['difference']), places)}{points(content)}"
    title = (
        f"A difference of {difference} takes {needed} runs of each recipe"
        if needed is not None
        else "No number of runs that anybody makes would show so small a difference"
    )
    note = (
        "The gain that n runs of each recipe, every run with its own seed, tell from noise in 80 % of cases at 5 %, by "
        "the spread of these runs. The spread is an estimate, and so is the difference: more runs would move both."
    )
    chart = gain_chart(gains, with_unit("gain", content), observed=content["difference"])
    return Figure("gain", title, note, chart)
