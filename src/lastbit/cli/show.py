"""A study's results on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from lastbit.cli.show_variance import variance_lines

ResultsJson = Mapping[str, Any]  # as `results.json` holds them


def show(results: ResultsJson, console: Console) -> None:
    """Print a study's verdict, and below it the paper's Table 1, what the controls said, and what the runs tell."""
    console.print(f"{results['name']}: {results['verdict']}", style="bold")
    metric, trials = results["metric"], results["trials"]
    if not trials or any(_final(trial, metric) is not None or trial["diverged_at"] is not None for trial in trials):
        unit = " in percent" if metric["unit"] == "percent" else ""
        console.print(f"{metric['label']}{unit}, STD with ddof 1")
        console.print(_table(results))
    else:
        console.print(f"weights only, for no run gave {metric['label']}")
    console.print(_controls(results))
    if len(groups := results.get("arithmetic", [])) > 1:
        console.print(f"arithmetic: {'; '.join(_group(group) for group in groups)}")
    for line in variance_lines(results):
        console.print(line)
    console.print()


def _table(results: ResultsJson) -> Table:
    table = Table()
    table.add_column("noise")
    for name in (*(f"seed {seed}" for seed in results["seeds"]), "STD"):
        table.add_column(name, justify="right")
    found = {(trial["noise"], trial["seed"]): trial for trial in results["trials"]}
    spreads, metric = results["std"], results["metric"]
    for noise in results["noises"]:
        cells = [_value(found.get((noise, seed)), metric) for seed in results["seeds"]]
        table.add_row(noise, *cells, _std(spreads["seed"]["per_noise"][noise], metric))
    table.add_section()
    table.add_row("STD", *(_std(spreads["noise"]["per_seed"][str(seed)], metric) for seed in results["seeds"]), "")
    return table


def _value(trial: Mapping[str, Any] | None, metric: Mapping[str, Any]) -> str:
    value = None if trial is None else _final(trial, metric)
    if value is None:
        return "–" if trial is None or trial["status"] == "finished" else str(trial["status"])
    return f"{value:.{metric['decimals']}f}"


def _final(trial: Mapping[str, Any], metric: Mapping[str, Any]) -> float | None:
    value: float | None = trial["metrics"].get(metric["name"])
    return value


def _std(spread: Mapping[str, float] | None, metric: Mapping[str, Any]) -> str:
    return "–" if spread is None else f"{spread['std']:.{metric['decimals']}f}"


def _group(group: Mapping[str, Any]) -> str:
    return f"seeds {', '.join(map(str, group['seeds']))} on {group['proof'] or 'one without proof'}"


def _controls(results: ResultsJson) -> str:
    if results["controls"] is None:
        return "controls: not run"
    # Stored JSON has its keys sorted; people expect the plain repetition first, computed or stored.
    ordered = sorted(results["controls"].items(), key=lambda control: (control[0] != "repeat", control[0]))
    said = (f"{name.replace('_', ' ')} {'bit-identical' if same else 'DIFFERS'}" for name, same in ordered)
    return f"controls: {', '.join(said)}"
