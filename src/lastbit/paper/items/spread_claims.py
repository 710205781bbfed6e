"""What the paper claims of a study of seeds and ks: how far the last bit and batch order move test accuracy.

A reduced training can end before the last bit has grown. Then it does not refute the paper: what would fail is left
undecided, with the distance that the weights came to.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from scipy import special

from lastbit.paper.item import Claim, Result, claim
from lastbit.report.numbers import scientific
from lastbit.report.study.stored import StudyJson

_CHANCE = 10.0  # percent, of ten classes
_LARGE = 0.5  # of another spread: about as large, in the paper's words
_GROWN = 0.1  # RelL1 of weights that share their signs and not much more


def learns(study: StudyJson, *, published: Any, what: str = "") -> Claim:
    """A claim that every run learns, so that there is an accuracy to vary."""
    values = [trial["test_accuracy"] for trial in study["trials"]]
    lowest = None if None in values else min(values)
    return claim(
        f"{_of(what)}Every run learns: its test accuracy is at least twice that of chance, {_CHANCE:g} %",
        published=published,
        measured=lowest,
        holds=lowest is not None and lowest >= 2 * _CHANCE,
        reason="" if lowest is not None else "A run diverged.",
    )


def as_in_table1(
    result: Result, study: StudyJson, *, mean: float | None, over_k: float, share: float | str, what: str = ""
) -> list[Claim]:
    """The claims of Tables 6 to 8 about a study, as in the left part of Table 1.

    Args:
        result: of the item, for its scale.
        study: its results.
        mean: published test accuracy in percent.
        over_k: published STD over k in percentage points.
        share: that STD as a share of the one over seeds, or what the paper says of it.
        what: was trained, where an item has several.
    """
    return [
        learns(study, published=mean, what=what),
        is_moved(result, study, published=over_k, what=what),
        about_as_large(result, study, published=share, what=what),
        is_published_std(result, study, "noise", published=over_k, what=what),
    ]


def is_moved(result: Result, study: StudyJson, *, published: float | None, what: str = "") -> Claim:
    """A claim that the runs of a seed do not all end with the same accuracy.

    Args:
        result: of the item, for its scale.
        study: its results.
        published: STD over k in percentage points.
        what: was trained, where an item has several.
    """
    spreads = {
        seed: estimate["std"] for seed, estimate in study["std"]["noise"]["per_seed"].items() if estimate is not None
    }
    still = [seed for seed, std in spreads.items() if std == 0]
    remark = f"At seed {', '.join(still)} all k end with the same accuracy. " if still else ""
    return claim(
        f"{_of(what)}The last bit alone moves test accuracy, at every seed",
        published=published,
        measured=spreads,
        **_judged(result, study, bool(spreads) and not still, remark),
    )


def about_as_large(result: Result, study: StudyJson, *, published: float | str, what: str = "") -> Claim:
    """The paper's main claim: the last bit moves test accuracy about as far as batch order.

    Args:
        result: of the item, for its scale.
        study: its results.
        published: STD over k as a share of STD over seeds, or what the paper says of it.
        what: was trained, where an item has several.
    """
    share = study["std"]["noise_over_seed"]
    interval = None if share is None else [share["lower"], share["upper"]]
    return claim(
        f"{_of(what)}The STD of test accuracy over k is about as large as over seeds: at least half of it",
        published=published,
        measured=None if share is None else share["value"],
        interval=interval,
        **_judged(result, study, above(interval, _LARGE), "", otherwise=_too_few(study)),
    )


def is_published_std(result: Result, study: StudyJson, source: str, *, published: float, what: str = "") -> Claim:
    """A claim that a pooled STD is the paper's; it is decided only at the paper's scale.

    Args:
        result: of the item, for its scale.
        study: its results.
        source: `noise` for the STD over k at a seed, `seed` for the STD over seeds at a k.
        published: in percentage points.
        what: was trained, where an item has several.
    """
    estimate = study["std"][source]["pooled"]
    interval = None if estimate is None else [estimate["lower"], estimate["upper"]]
    full = result["scale"] == "paper"
    return claim(
        f"{_of(what)}The STD over {'k' if source == 'noise' else 'seeds'} is {published:.2g} points",
        published=published,
        measured=None if estimate is None else estimate["std"],
        interval=interval,
        holds=None if not full or interval is None else interval[0] <= published <= interval[1],
        reason="" if full else "Another network on fewer images, for fewer epochs, has a spread of its own.",
    )


def disagree(result: Result, study: StudyJson) -> Claim:
    """A claim about prediction churn, which the paper does not measure."""
    noise, seed = study["churn"]["noise"], study["churn"]["seed"]
    both = noise is not None and seed is not None
    return claim(
        "Runs that differ in the last bit only disagree on at least half as many test images as runs of other seeds",
        published=None,
        measured={"last bit": noise["mean"], "batch order": seed["mean"]} if both else None,
        **_judged(
            result, study, noise["mean"] >= _LARGE * seed["mean"] if both else None, "In percent of the test images. "
        ),
    )


def hides_gains(study: StudyJson, *, runs: int, gain: float) -> Claim:
    """A claim that the spread of runs hides small gains between two recipes.

    Args:
        study: its results.
        runs: of each recipe.
        gain: in percentage points.
    """
    gains, estimate = study["least_detectable_gain"], study["std"]["seed"]["pooled"]
    known = gains is not None and estimate["std"] > 0
    least = gains[str(runs)] if known else None
    interval = [least * estimate[end] / estimate["std"] for end in ("lower", "upper")] if known else None
    holds = above(interval, gain)
    return claim(
        f"{runs} runs of each of two recipes do not show a gain of {gain:g} points",
        published=None,
        measured=least,
        interval=interval,
        holds=holds,
        reason=_too_few(study) if holds is None else "Measured is what Welch's t test finds in 80 % of cases.",
    )


def same_spread(result: Result, one: StudyJson, other: StudyJson, *, names: Sequence[str], published: float) -> Claim:
    """A claim that the last bit moves two studies about equally far.

    Args:
        result: of the item, for its scale.
        one: results of a study; should its last bit not have grown, this does not refute.
        other: results of other settings.
        names: of the two, in words.
        published: ratio of the paper's two STDs.
    """
    stds = [study["std"]["noise"]["pooled"] for study in (one, other)]
    known = None not in stds and stds[1]["std"] > 0
    ratio = stds[0]["std"] / stds[1]["std"] if known else None
    interval = ratio_interval(ratio, stds[0]["dof"], stds[1]["dof"]) if ratio is not None else None
    return claim(
        f"The STD over k is alike in {names[0]} and {names[1]}: within a factor of two",
        published=published,
        measured=ratio,
        interval=interval,
        **_judged(result, one, within(interval, _LARGE, 1 / _LARGE), "", otherwise=_too_few(one)),
    )


def _judged(result: Result, study: StudyJson, holds: bool | None, note: str, *, otherwise: str = "") -> dict[str, Any]:
    """Return `holds` and `reason`; a failure decides nothing if a reduced training was too short for growth."""
    distance = _last_distance(study)
    if holds is not True and result["scale"] != "paper" and (distance is None or distance < _GROWN):
        short = (
            f"RelL1 of the weights came to {scientific(distance)} only" if distance else "the weights have not parted"
        )
        return {"holds": None, "reason": f"{note}So short a training does not let the last bit grow: {short}."}
    return {"holds": holds, "reason": otherwise if holds is None else note.strip()}


def _last_distance(study: StudyJson) -> float | None:
    """Median RelL1 at the last step of runs that differ in the last bit."""
    last = max((row["step"] for row in study["rel_l1"]), default=None)
    values = [row["value"] for row in study["rel_l1"] if row["step"] == last and row["value"] is not None]
    return median(values) if values else None


def _too_few(study: StudyJson) -> str:
    return f"{len(study['noises'])} k at {len(study['seeds'])} seeds leave the interval too wide."


def _of(what: str) -> str:
    return f"{what}: " if what else ""


_TAIL = 0.025  # of a 95 % interval


def above(interval: Sequence[float] | None, level: float) -> bool | None:
    """Whether an interval lies above a level; None if it contains the level, or if there is no interval."""
    if interval is None:
        return None
    low, high = interval
    return True if low > level else False if high < level else None


def within(interval: Sequence[float] | None, low: float, high: float) -> bool | None:
    """Whether an interval lies between two levels; False if it lies outside, None if it overlaps an end."""
    if interval is None:
        return None
    if interval[1] < low or interval[0] > high:
        return False
    return True if interval[0] >= low and interval[1] <= high else None


def ratio_interval(ratio: float, dof_above: float, dof_below: float) -> list[float]:
    """Return the 95 % F interval of the ratio of two independent standard deviations.

    Args:
        ratio: of the two estimates.
        dof_above: degrees of freedom of the numerator.
        dof_below: and of the denominator.
    """
    quantiles = [special.fdtri(dof_above, dof_below, q) for q in (1 - _TAIL, _TAIL)]
    return [float(ratio / np.sqrt(q)) for q in quantiles]
