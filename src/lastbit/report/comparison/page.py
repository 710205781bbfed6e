"""The page of two compared recipes; a terminal prints the rows of its tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lastbit.report.comparison.charts import difference_figure, gains_figure, runs_figure
from lastbit.report.comparison.stored import ComparedJson, as_compared, decimals
from lastbit.report.numbers import MISSING, number
from lastbit.report.page import Block, Heading, Page, Section, Text, write_page
from lastbit.report.settings import differences
from lastbit.report.table import Table

_T_NAMES = {"paired t": "pairs of seeds (t)", "Welch t": "two samples (Welch’s t)"}


def write_comparison(content: ComparedJson, path: Path) -> None:
    """Write the HTML page of a comparison; it opens offline and asks for nothing else.

    Args:
        content: as `Comparison.as_json` gives it.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: it is no comparison.
    """
    write_page(comparison_page(as_compared(content)), path)


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
    """Each recipe: its mean, seeds and runs, and the runs that count nowhere."""
    places = decimals(content)
    rows = [
        [
            side["name"],
            number(side["mean"], places),
            str(len(side["seeds"])),
            str(side["runs"]),
            "; ".join(side["lost"]) or "none",
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
    rows.append([f"permutations ({name}, {kind})", MISSING, _p(permutation["p"]), least])
    if content["examples"] is not None:
        rows.append(_t_row("runs and test set together", content["examples"]["any_test_set"], content))
    note = (
        "Runs that share a seed are not independent: their mean is one value, and seeds are what is counted. Where "
        f"both studies have the same seeds the pairs decide, otherwise the two samples do. {mcnemar_sentence(content)}"
    )
    columns = ["test of the difference", "95 % interval", "p", "rests on"]
    return Table("tests", "The tests in numbers", columns, rows, note.rstrip(), align="lrrl")


def mcnemar_sentence(content: ComparedJson) -> str:
    """What single pairs of runs say; empty where there are none."""
    examples = content["examples"]
    if examples is None or not examples["pairs"]:
        return ""
    pairs, differ = len(examples["pairs"]), examples["pairs_that_differ"]
    return (
        f"Of the {pairs} pairs of single runs with one seed and noise, McNemar’s exact test tells {differ} apart at "
        "5 %: it asks whether two trained networks differ, which they may while their recipes do not."
    )


def _t_row(label: str, test: Mapping[str, Any], content: ComparedJson) -> list[str]:
    places = decimals(content)
    varies = test["lower"] is not None
    interval = f"{number(test['lower'], places)} to {number(test['upper'], places)}" if varies else MISSING
    p = _p(test["p"]) if varies else MISSING  # where nothing varies, any difference at all would be certain
    return [label, interval, p, f"{test['dof']:.1f}".removesuffix(".0") + " degrees of freedom"]


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
