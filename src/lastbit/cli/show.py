"""A study's results on the terminal: the rows of its page."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

ResultsJson = Mapping[str, Any]  # as `results.json` holds them
_FIRST, *_OTHERS = (6, 3, 12, 30)  # runs for which the least detectable gain is printed


def show(results: ResultsJson, console: Console) -> None:
    """Print a study's verdict, and below it the paper's Table 1, what the controls say, and what the runs tell."""
    from lastbit.report.study.naming import metric_of
    from lastbit.report.study.tables import accuracy_table

    console.print(f"{results['name']}: {results['verdict']}", style="bold")
    metric, trials = metric_of(results), results["trials"]
    if not trials or any(metric.of(trial) is not None or trial["diverged_at"] is not None for trial in trials):
        unit = " in percent" if metric.is_percentage else ""
        console.print(f"{metric.label}{unit}, STD with ddof 1")
        console.print(accuracy_table(results).for_terminal(small=False))
    else:
        console.print(f"weights only, for no run gave {metric.label}")
    console.print(_controls(results))
    if len(groups := results.get("arithmetic", [])) > 1:
        console.print(f"numerics: {'; '.join(_group(group) for group in groups)}")
    for line in variance_lines(results):
        console.print(line)
    console.print()


def _group(group: Mapping[str, Any]) -> str:
    return f"seeds {', '.join(map(str, group['seeds']))} on {group['proof'] or 'one without a bit fingerprint'}"


def _controls(results: ResultsJson) -> str:
    if results["controls"] is None:
        return "controls: not run"
    # Stored JSON has its keys sorted; people expect the plain repetition first, computed or stored.
    ordered = sorted(results["controls"].items(), key=lambda control: (control[0] != "repeat", control[0]))
    words = (f"{name.replace('_', ' ')} {'bit-identical' if same else 'DIFFERS'}" for name, same in ordered)
    return f"controls: {', '.join(words)}"


def variance_lines(results: ResultsJson) -> Iterator[str]:
    """A line for the split of the variance and one for the least gains, as far as the runs tell them."""
    from lastbit.report.study.naming import metric_of

    metric, split, gains = metric_of(results), results["variance"], results["least_detectable_gain"]
    labels = {"test_set": "test set", "batch_order": metric.order, "last_bit": "last bit"}
    known = {label: split[name] for name, label in labels.items() if split[name] is not None}
    if known:
        stds = ", ".join(
            f"{label} {metric.spread(part['std'])} ({metric.interval(part)})" for label, part in known.items()
        )
        yield f"STD of one run's {metric.label} by source, with 95 % intervals: {stds}{metric.points}"
    if gains is not None:
        by_runs = {int(runs): gain for runs, gain in gains.items()}
        gain = {runs: f"+{metric.spread(by_runs[runs])}" for runs in (_FIRST, *_OTHERS)}
        others = ", ".join(f"{gain[runs]} with {runs}" for runs in _OTHERS)
        yield (
            f"to detect {gain[_FIRST]}{metric.points}, train {_FIRST} runs of each of two recipes ({others}): a t test "
            "then finds such a gain in 80 % of cases"
        )
