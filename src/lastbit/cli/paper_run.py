"""The work of `lastbit paper run`: the items' needs, a progress bar, failures, and the claims of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lastbit.cli.output import SafeConsole
from lastbit.cli.progress import progress_bar
from lastbit.cli.workers import Executors, gentle_interrupts
from lastbit.errors import LastbitError
from lastbit.execution.dispatch import Watched
from lastbit.paper.catalogue import find_items
from lastbit.paper.item import Item
from lastbit.paper.names import SCALES
from lastbit.paper.results import PaperResults, claims_of
from lastbit.paper.suite import Ended, Needs, check_data, check_room, needs, run_items, traceback_of
from lastbit.report.numbers import duration
from lastbit.report.paper import Tally, in_words, tally
from lastbit.storage.files import writing
from lastbit.storage.locks import directory_lock

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("?", "yellow")}
_PIPE_WIDTH = 200  # columns of the list where there is no terminal to fit


def asked(names: Sequence[str], scale: str, out: Path | None) -> tuple[list[Item], PaperResults]:
    """Return the items with these names, and the directory of results.

    Raises:
        LastbitError: there is no such item or scale, or the directory holds another scale's results or other files.
    """
    if scale not in SCALES:
        raise LastbitError(f"--scale {scale}: allowed are {', '.join(SCALES)}")
    results = PaperResults(out or default_directory(scale), scale)
    items = find_items(names)
    results.check()
    return items, results


def default_directory(scale: str) -> Path:
    """Return the default directory of results."""
    return Path("runs") / f"paper-{scale}"


def checked_needs(pending: Sequence[Item], results: PaperResults, *, work: Path, executors: Executors) -> Needs:
    """Return what the items to run need, checked against this machine.

    Args:
        pending: the items.
        results: where their results go.
        work: where their trainings go.
        executors: run them; of a cluster, only the disk can be checked here.

    Raises:
        LastbitError: data sets, memory or disk space are missing.
    """
    wanted = needs(pending, results.scale, workers=executors.workers)
    here = executors.scheduler is None
    if here:
        check_data(wanted.data)
    check_room(wanted, directory=work, scale=results.scale, memory=here)
    return wanted


def announcement(
    items: Sequence[Item], pending: Sequence[Item], wanted: Needs, scale: str, executors: str, device: str
) -> str:
    """Describe in a sentence what is about to happen."""
    stored = len(items) - len(pending)
    kept = f"{stored} of {len(items)} items are stored already" if stored else ""
    if not pending:
        return f"scale {scale}: {kept}"
    number = f"{len(pending)} item{'s' if len(pending) > 1 else ''} to run"
    begun = f"scale {scale}: {number}, about {duration(wanted.seconds)} on {executors}{_without(device)}"
    return f"{begun}; {kept}" if kept else begun


def _without(device: str) -> str:
    """A reservation if networks are not trained on CPUs, for which the estimate is."""
    return "" if device == "cpu" else f" if all were on CPUs; networks are trained on {device}"


def run_pending(
    pending: Sequence[Item],
    results: PaperResults,
    *,
    work: Path,
    executors: Executors,
    device: str,
    wanted: Needs,
    begin: Callable[[], None],
) -> list[str]:
    """Run items with a progress bar, store each as it ends, and return a line for each that failed.

    Args:
        pending: the items.
        results: where their results go.
        work: where their trainings go.
        executors: run them.
        device: where networks are trained.
        wanted: what they need, for an estimate of the time left.
        begin: called once the workers have started, or if there is nothing to run.

    Raises:
        LastbitError: the scheduler does not answer, or another run is using the directory of trainings.
        StoppedCommandError: Ctrl-C was pressed, and what was in progress has been stored.
    """
    if not pending:
        begin()
        return []
    failures: list[str] = []
    with executors.executor() as inner, progress_bar(f"paper, {results.scale}", "jobs") as show:
        watched = Watched(inner, lambda done, given: show(done=done, total=given))
        # Ctrl-C is gentle before the directories are claimed, so that one never ends what has left something there.
        with gentle_interrupts(watched), results.claimed(), _held(work):
            begin()
            results.write_index(claims_of(results))  # a damaged result is said now, not after hours
            show(left=wanted.seconds)
            begun = time.monotonic()
            waiting = list(pending)
            for ended in run_items(pending, results.scale, executor=watched, directory=work, device=device):
                waiting.remove(ended.item)
                remark = f"{len(pending) - len(waiting)} of {len(pending)} items, last {ended.item.id}"
                show(left=_left(pending, waiting, results.scale, time.monotonic() - begun), remark=remark)
                failures += _keep(ended, results)
    return failures


@contextmanager
def _held(work: Path) -> Iterator[None]:
    """Lock a directory of trainings; a directory that is in use ends the command."""
    with ExitStack() as stack:
        with writing(work):
            work.mkdir(parents=True, exist_ok=True)
            stack.enter_context(directory_lock(work))
        yield


def _left(pending: Sequence[Item], waiting: Sequence[Item], scale: str, elapsed: float) -> float:
    """Seconds to go, if the waiting items deviate from their estimates as those that have ended did."""
    whole, rest = (sum(item.scale(scale).cost.seconds for item in items) for items in (pending, waiting))
    return elapsed * rest / (whole - rest)


def _keep(ended: Ended, results: PaperResults) -> list[str]:
    """Store an item's result, or its traceback; return a line if it failed."""
    if ended.made is not None:
        results.save(ended.item, ended.made)
        return []
    error = ended.error or RuntimeError("it gave no result")
    path = results.save_failure(ended.item, traceback_of(error))
    first = (str(error).splitlines() or [""])[0]
    return [f"{ended.item.id} failed, {type(error).__name__}: {first} (traceback in {path})"]


def show_list(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a row for each item: what it shows, what it needs at each scale, and how many of its claims held last."""
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


def _last(by_scale: Sequence[Mapping[str, Any]]) -> str:
    tallies = [(Tally(tally["hold"], tally["fail"], tally["undecided"]), tally["scale"]) for tally in by_scale]
    return "\n".join(f"{counted.marks} ({scale})" for counted, scale in tallies) or "–"


def show_claims(items: Iterable[Mapping[str, Any]], titles: Mapping[str, str], console: Console) -> None:
    """Print each item's claims with their marks, and the evidence for those that do not hold or are undecided.

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
                words = _said(claim).replace("\n", "\n    ")
                console.print(Text(f"  {_MARKS[claim['holds']][0]} {words}"), soft_wrap=True)
    tallied = tally(claim for item in shown for claim in item["claims"])
    console.print(Text(f"{tallied.sentence}.", style="bold"), soft_wrap=True)


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
