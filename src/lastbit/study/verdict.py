"""What a study says, in one sentence with numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastbit.study.spread import Spread, least_difference

if TYPE_CHECKING:
    from lastbit.study.results import Results


def verdict(results: Results) -> str:
    """Say how much last-bit noise moves test accuracy, and what that makes of small differences.

    Doubts come first: controls that failed or were not run, trials on different arithmetic. Diverged trials are named.
    """
    return "".join((_doubt(results), _finding(results), _diverged(results)))


def _doubt(results: Results) -> str:
    if results.controls is not None and not results.controls.passed:
        return f"Not to be trusted: {results.controls.complaint}. "
    kinds = len(results.fingerprints)
    mixed = (
        f"Trials ran on {kinds} different kinds of arithmetic, which differ by more than the noise. "
        if kinds > 1
        else ""
    )
    return mixed + (
        "" if results.controls is not None else "Without controls: other sources of noise are not ruled out. "
    )


def _finding(results: Results) -> str:
    if results.noise is None:
        return "Too few finished runs to say how far last-bit noise moves test accuracy."
    if results.noise.std == 0:
        return _unmoved(results)
    return (
        f"Last-bit noise moves test accuracy by {results.noise.std:.2f} points ({_interval(results.noise)})"
        f"{_compared(results)}; between two single runs, differences below "
        f"{least_difference(results.noise):.2f} points mean nothing."
    )


def _interval(found: Spread) -> str:
    return f"standard deviation, 95 % interval {found.lower:.2f} to {found.upper:.2f}"


def _compared(results: Results) -> str:
    if results.share is None or results.seed is None:
        return ""
    share = results.share
    return (
        f", {100 * share.value:.0f} % of what batch order does ({results.seed.std:.2f} points; the share's interval is "
        f"{100 * share.lower:.0f} to {100 * share.upper:.0f} %)"
    )


def _unmoved(results: Results) -> str:
    finite = [distance.rel_l1.value for distance in results.distances]
    weights = f", and the weights moved by no more than RelL1 {_scientific(max(finite))}" if finite else ""
    order = f" Batch order moves it by {results.seed.std:.2f} points." if results.seed is not None else ""
    return f"Last-bit noise left the test accuracy of every run as it was{weights}.{order}"


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _diverged(results: Results) -> str:
    count = sum(trial.diverged_at is not None for trial in results.grid.stored.values())
    return f" {count} run(s) diverged and count in no average." if count else ""
