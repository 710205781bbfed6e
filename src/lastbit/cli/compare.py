"""`lastbit compare`: is the difference of two recipes more than noise?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import write_output

if TYPE_CHECKING:
    from lastbit.study.comparison import Comparison


# Of a study elsewhere: all but its weights, its reports and what is in progress.
_WANTED = ("study.json", "trials/*.json", "trials/*.jsonl", "trials/*/predictions.safetensors", "failed/*.json")


def compare(
    a: Annotated[str, typer.Argument(metavar="DIR_A", help="A study, or its fsspec URL.")],
    b: Annotated[str, typer.Argument(metavar="DIR_B", help="Another; the difference is A minus B.")],
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="A logged metric [the studies' own].")] = None,
    gain: Annotated[float | None, typer.Option(metavar="X", help="Also say how many runs a gain of X needs.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where page and numbers are kept.")] = Path("compare"),
    json: JsonOption = None,
) -> None:
    """Say whether two recipes differ by more than noise.

    It also says how many runs would show a difference. Runs of one seed are not independent, so seeds are
    counted, not runs. With the same seeds in both studies, the recipes are compared pair by pair.

    Examples: `lastbit compare runs/new runs/old --gain 0.3 --out runs/new-old`,
    `lastbit compare s3://bucket/new runs/old`
    """
    from lastbit.cli.progress import opened
    from lastbit.study.comparison import compare as compare_runs

    _check_gain(gain)
    check_free(out, Kind.COMPARISON)
    with opened(a, wanted=_WANTED) as one, opened(b, wanted=_WANTED) as other:
        comparison = compare_runs(one, other, metric=metric)
        content = comparison.as_json() | {"gain": _gain(comparison, gain)}
    page = _store(content, out)
    write_json(json, content)
    if json != "-":
        _show(comparison, content, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)


def _check_gain(gain: float | None) -> None:
    if gain is not None and not 0 < gain < float("inf"):
        raise LastbitError(f"--gain {gain}: a gain must be above 0, in the unit of the metric")


def _gain(found: Comparison, gain: float | None) -> dict[str, Any] | None:
    if gain is None:
        return None
    runs = min(len(found.replicates.a), len(found.replicates.b))
    power = found.design.power(gain, runs) if found.design.std > 0 else None
    return {"gain": gain, "runs_needed": found.runs_needed(gain), "power": power, "runs": runs}


def _store(content: dict[str, Any], out: Path) -> Path:
    from lastbit.report.comparison import write_comparison  # only here: charts take a third of a second to import

    page = out / "compare.html"
    with writing(f"--out {out}"):
        write_output(out / "compare.json", to_json(content).encode())
        write_comparison(content, page)
    return page


def _show(found: Comparison, content: dict[str, Any], terminal: Console) -> None:
    from lastbit.report.comparison import difference_table, sides_table

    label = found.label + (" in percent" if found.unit else "")
    terminal.print(f"{found.a.name} against {found.b.name}: {label}")
    terminal.print(sides_table(content).for_terminal())
    terminal.print(difference_table(content).for_terminal())
    terminal.print(found.verdict, style="bold")
    if content["gain"] is not None:
        terminal.print(_gain_line(content["gain"], found.unit))
    terminal.print()


def _gain_line(gain: dict[str, Any], unit: str) -> str:
    if gain["power"] is None:
        return "How many runs a gain takes is not known: these runs do not vary."
    runs = "more than a million" if gain["runs_needed"] is None else gain["runs_needed"]
    size = f"{gain['gain']:g} {unit}".rstrip()
    return (
        f"A gain of {size} takes {runs} runs of each, each with its own seed (80 % power); {gain['runs']} would show "
        f"it in {100 * gain['power']:.0f} % of cases."
    )
