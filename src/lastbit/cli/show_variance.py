"""Where a metric's variance comes from and the gains that runs can show, on the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

_FIRST, *_OTHERS = (6, 3, 12, 30)  # runs for which the least detectable gain is printed


def variance_lines(results: Mapping[str, Any]) -> Iterator[str]:
    """A line for the split of the variance and one for the least gains, as far as the runs tell them."""
    metric, split, gains = results["metric"], results["variance"], results["least_detectable_gain"]
    decimals, points = metric["decimals"], " points" if metric["unit"] == "percent" else ""
    labels = {"test_set": "test set", "batch_order": results["seed_decides"], "last_bit": "last bit"}
    known = {label: split[name] for name, label in labels.items() if split[name] is not None}
    if known:
        stds = ", ".join(
            f"{label} {part['std']:.{decimals}f} ({part['lower']:.{decimals}f} to {part['upper']:.{decimals}f})"
            for label, part in known.items()
        )
        yield f"STD of one run's {metric['label']} by source, with 95 % intervals: {stds}{points}"
    if gains is not None:
        by_runs = {int(runs): gain for runs, gain in gains.items()}
        gain = {runs: f"+{by_runs[runs]:.{decimals}f}" for runs in (_FIRST, *_OTHERS)}
        others = ", ".join(f"{gain[runs]} with {runs}" for runs in _OTHERS)
        yield (
            f"to detect {gain[_FIRST]}{points}, train {_FIRST} runs of each of two recipes ({others}): a t test then "
            "finds such a gain in 80 % of cases"
        )
