"""`lastbit paper`: reproduces tables, figures and theorems of the paper, and says which of their claims hold."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.cost import Answers, YesOption
from lastbit.cli.options import DeviceOption, paper_items, paper_scales
from lastbit.cli.output import FailedError, JsonOption, console, write_json
from lastbit.cli.workers import SchedulerOption, WorkersOption, chosen_executors
from lastbit.storage.directories import Kind, check_free

if TYPE_CHECKING:  # at run time only where they are used: all items with their charts take seconds to import
    from lastbit.paper.item import Item
    from lastbit.paper.results import Made, PaperResults

app = typer.Typer(no_args_is_help=True, help="Reproduce the paper's tables, figures and theorems.")

ScaleOption = Annotated[
    str,
    typer.Option("--scale", autocompletion=paper_scales, help="smoke (seconds), laptop (minutes to hours), or paper."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where results are kept [runs/paper-SCALE].")
]


@app.command("list")
def list_command(out: OutOption = None, json: JsonOption = None) -> None:
    """List the items: what each shows, what it takes at each scale, and how its claims came out last.

    Example: `lastbit paper list --out results/laptop`
    """
    from lastbit.cli.paper_run import show_list
    from lastbit.paper.catalogue import ITEMS

    kept = _kept(out)
    rows = [_row(item, kept) for item in ITEMS.values()]
    write_json(json, rows)
    if json != "-":
        show_list(rows, console(json))


@app.command("run")
def run_command(
    names: Annotated[
        list[str],
        typer.Argument(metavar="ITEM...", autocompletion=paper_items, help="Such as fig5 table1 theorem5.4, or all."),
    ],
    scale: ScaleOption = "laptop",
    out: OutOption = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Where trainings are kept [DIR/work, DIR of --out].")
    ] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    device: DeviceOption = "auto",
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Run items, say which of their claims hold, and draw `paper.html`.

    Items whose results are stored are not run again, and interrupted trainings continue.

    Examples: `lastbit paper run fig5 table2 --scale smoke`, `lastbit paper run all --scale laptop --out results/laptop`
    """
    from lastbit.cli.paper_run import announcement, asked, checked_needs, run_pending

    executors = chosen_executors(workers, scheduler)
    items, results = asked(names, scale, out)
    where = executors.device(device)
    trainings = work or results.root / "work"
    check_free(trainings, Kind.STUDIES)
    pending = [item for item in items if results.load(item) is None]
    wanted = checked_needs(pending, results, work=trainings, executors=executors)
    say = console(json)
    plan = announcement(items, pending, wanted, scale, str(executors), where)
    if pending:
        Answers(yes).ask(wanted.seconds, plan)
    failures = run_pending(
        pending,
        results,
        work=trainings,
        executors=executors,
        device=where,
        wanted=wanted,
        begin=lambda: say.print(plan, soft_wrap=True),
    )
    _report(items, results, json)
    if failures:
        raise FailedError("\n".join(failures))


def _report(items: list[Item], results: PaperResults, json: str | None) -> None:
    """Draw the page of all that is stored, and print the claims of these items."""
    from lastbit.cli.paper_run import show_claims
    from lastbit.paper.results import claims_of, write_page

    claimed = claims_of(results)
    page = write_page(results, claimed)
    content = results.as_json({item.id: claimed[item.id] for item in items if item.id in claimed})
    write_json(json, content)
    if json != "-":
        say = console(json)
        show_claims(content, {item.id: item.title for item in items}, say)
        say.print(f"page: {page}", soft_wrap=True)


@app.command("page")
def page_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The --out of `lastbit paper run`.")],
    json: JsonOption = None,
) -> None:
    """Draw `paper.html` again, and write the index, from the stored results.

    Example: `lastbit paper page results/laptop`
    """
    from lastbit.paper.results import PaperResults, claims_of, write_page

    results = PaperResults.reopen(directory)
    page = write_page(results, claims_of(results))
    write_json(json, {"page": str(page)})
    if json != "-":
        console(json).print(str(page), soft_wrap=True)


def _kept(out: Path | None) -> list[PaperResults]:
    """Return the results in a directory, or those in the default directories."""
    from lastbit.cli.paper_run import default_directory
    from lastbit.paper.names import SCALES
    from lastbit.paper.results import INDEX, PaperResults

    usual = [directory for scale in SCALES if ((directory := default_directory(scale)) / INDEX).is_file()]
    return [PaperResults.reopen(directory) for directory in ([out] if out is not None else usual)]


def _row(item: Item, kept: list[PaperResults]) -> dict[str, Any]:
    costs = {name: {**asdict(scale.cost), "cuts": scale.cuts} for name, scale in item.scales.items()}
    loaded = [(results, made) for results in kept if (made := results.load(item)) is not None]
    return {
        "id": item.id,
        "title": item.title,
        "shows": item.shows,
        "scales": costs,
        "last": [_last(item, results, made) for results, made in loaded],
    }


def _last(item: Item, results: PaperResults, made: Made) -> dict[str, Any]:
    from lastbit.report.paper import tally

    tallied = tally(item.claims(made.result))
    where = {"directory": str(results.root), "scale": results.scale, "seconds": made.seconds}
    return {**where, "hold": tallied.hold, "fail": tallied.fail, "undecided": tallied.undecided}
