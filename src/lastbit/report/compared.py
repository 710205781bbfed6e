"""Reads the stored comparison of two recipes: names, formats, and what is shown of it in tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lastbit.report.compared_shape import ComparedShape
from lastbit.report.numbers import MISSING, number
from lastbit.report.shape import checked

Comparison = Mapping[str, Any]  # as `Comparison.as_json` gives it


@dataclass(frozen=True)
class Row:
    """A line of a table: what, and its numbers in words."""

    label: str
    cells: tuple[str, ...]


def as_compared(content: Comparison) -> Comparison:
    """A comparison as it is once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: it is not one.
    """
    return checked(content, ComparedShape, "this is not the comparison of two recipes")


def decimals(content: Comparison) -> int:
    """Two decimals of percentages; otherwise as many as give the standard error two digits."""
    error = content["standard_error"] or abs(content["difference"])
    if content["unit"] or not error:
        return 2
    return max(0, 1 - int(f"{error:.0e}".split("e")[1]))


def points(content: Comparison) -> str:
    """The unit of a difference with the space before it."""
    return f" {content['unit']}" if content["unit"] else ""


def side_rows(content: Comparison) -> list[Row]:
    """Each recipe: its mean, seeds and runs, and the runs that count nowhere."""
    places = decimals(content)
    return [
        Row(side["name"], (number(side["mean"], places), str(len(side["seeds"])), str(side["runs"]), _lost(side)))
        for side in (content["a"], content["b"])
    ]


def rows_of_tests(content: Comparison) -> list[Row]:
    """Each test of the difference."""
    found = [test for test in (content["paired"], content["unpaired"]) if test is not None]
    rows = [_t_row(_T_NAMES[test["kind"]], test, content) for test in found]
    permutation = content["permutation"]
    name = "flipped signs" if content["paired"] is not None else "exchanged runs"
    kind = "all" if permutation["exact"] else "20,000 random"
    rows.append(
        Row(f"permutations ({name}, {kind})", (MISSING, _p(permutation["p"]), f"p ≥ {permutation['least_p']:.2g}"))
    )
    if content["examples"] is not None:
        rows.append(_t_row("runs and test set together", content["examples"]["any_test_set"], content))
    return rows


def mcnemar_sentence(content: Comparison) -> str:
    """What single pairs of runs say; empty where there are none."""
    examples = content["examples"]
    if examples is None or not examples["pairs"]:
        return ""
    pairs, differ = len(examples["pairs"]), examples["pairs_that_differ"]
    return (
        f"Of the {pairs} pairs of single runs with one seed and noise, McNemar’s exact test tells {differ} apart at "
        "5 %: it asks whether two trained networks differ, which they may while their recipes do not."
    )


_T_NAMES = {"paired t": "pairs of seeds (t)", "Welch t": "two samples (Welch’s t)"}


def _t_row(label: str, test: Mapping[str, Any], content: Comparison) -> Row:
    places = decimals(content)
    varies = test["lower"] is not None
    interval = f"{number(test['lower'], places)} to {number(test['upper'], places)}" if varies else MISSING
    p = _p(test["p"]) if varies else MISSING  # where nothing varies, any difference at all would be certain
    return Row(label, (interval, p, f"{test['dof']:.1f}".removesuffix(".0") + " degrees of freedom"))


def _lost(side: Mapping[str, Any]) -> str:
    return "; ".join(side["lost"]) or "none"


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
