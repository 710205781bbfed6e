"""The paper's items and claims on the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lastbit.cli.output import SafeConsole
from lastbit.report.paper import Tally, duration, in_words, tally

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("?", "yellow")}
_PIPE_WIDTH = 200  # columns of the list where there is no terminal to fit


def show_list(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a row for each item: what it shows, what it takes at each scale, and how its claims came out last."""
    console = console if console.is_terminal else SafeConsole(file=console.file, width=_PIPE_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("item", no_wrap=True)
    table.add_column("what it shows", min_width=20)
    for scale in rows[0]["scales"]:
        table.add_column(scale, justify="right", no_wrap=True)
    table.add_column("last result", no_wrap=True)
    for row in rows:
        costs = [duration(cost["seconds"]) for cost in row["scales"].values()]
        table.add_row(row["id"], row["title"], *costs, _last(row["last"]))
    console.print(table)
    console.print("Durations are of one core. `lastbit data fetch NAME` brings the data sets that are not bundled.")
    for line in _data_lines(rows):
        console.print(line)


def _data_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each data set, the items that need it and at which scales."""
    needing: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for scale, cost in row["scales"].items():
            for name in cost["data"]:
                needing.setdefault(name, {}).setdefault(scale, []).append(row["id"])
    for name, by_scale in needing.items():
        yield f"{name} is needed " + "; ".join(f"at {scale} by {', '.join(ids)}" for scale, ids in by_scale.items())


def _last(found: Sequence[Mapping[str, Any]]) -> str:
    tallies = [(Tally(each["hold"], each["fail"], each["undecided"]), each["scale"]) for each in found]
    return "\n".join(f"{counted.marks} ({scale})" for counted, scale in tallies) or "–"


def show_claims(items: Iterable[Mapping[str, Any]], titles: Mapping[str, str], console: Console) -> None:
    """Print each item's claims with their marks, and for those that do not simply hold what decided.

    Args:
        items: as `--json` has them.
        titles: of each item by its id.
        console: for people.
    """
    shown = list(items)
    for item in shown:
        console.print(Text(f"{item['id']}: {titles[item['id']]}", style="bold"), soft_wrap=True)
        if console.is_terminal:
            console.print(_claims_grid(item["claims"]))
        else:  # a line each, for programs that read lines
            for claim in item["claims"]:
                said = _said(claim).replace("\n", "\n    ")
                console.print(Text(f"  {_MARKS[claim['holds']][0]} {said}"), soft_wrap=True)
    found = tally(claim for item in shown for claim in item["claims"])
    console.print(Text(f"{found.sentence}.", style="bold"), soft_wrap=True)


def _claims_grid(claims: Iterable[Mapping[str, Any]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for claim in claims:
        mark, style = _MARKS[claim["holds"]]
        grid.add_row(Text(f"  {mark}", style=style), Text(_said(claim)))
    return grid


def _said(claim: Mapping[str, Any]) -> str:
    if claim["holds"]:
        return str(claim["claim"])
    return f"{claim['claim']}\n{_evidence(claim)}"


def _evidence(claim: Mapping[str, Any]) -> str:
    parts = [f"published {in_words(claim['published'])}", f"measured {in_words(claim['measured'])}"]
    return ". ".join([f"{'; '.join(parts)}", *([claim["reason"]] if claim["reason"] else [])])
