"""`lastbit sharpness`: how far a recipe's training is from its edge of stability, step by step."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.progress import step_progress
from lastbit.cli.wrong_input import wrong_input
from lastbit.training.catalogue import FULL, load_recipe
from lastbit.training.device import choose_device
from lastbit.training.sharpness import Series

PAGE = "sharpness.html"
_NAMES = ("loss", "sharpness", "residual", "edge", "normalised")
_SHOWN = 12  # rows of the table on the terminal


def sharpness(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe, or a .toml file.")],
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Updates of the training, in all.")],
    every: Annotated[
        str, typer.Option("--every", metavar="M", help="Measure every M steps; `log` or `log:5`: so many a decade.")
    ] = "10",
    k: Annotated[int, typer.Option("--k", help="Largest eigenvalues wanted.")] = 1,
    lr: Annotated[float | None, typer.Option("--lr", help="Short for --set optimizer.lr=LR.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Measure each linear and convolutional layer too.")] = False,
    flow: Annotated[bool, typer.Option("--flow", help="Follow the gradient flow beside the descent.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the series is kept [runs/sharpness-…].")
    ] = None,
    scale: Annotated[str, typer.Option(help="`paper`, or a reduced scale of the recipe: laptop, smoke.")] = FULL,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field.")] = None,
    images: Annotated[
        int, typer.Option("--images", metavar="N", help="Training images measured on, where steps use batches.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Decides the order of batches.")] = 1,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `cuda:1`, ..., or `auto`.")] = "auto",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the fetched data sets.")] = None,
    json: JsonOption = None,
) -> None:
    """Measure sharpness along a recipe, against the edge of stability.

    Sharpness is the largest eigenvalue of the loss's Hessian. Normalised sharpness is 2 at the edge of the optimizer in
    use: lr · sharpness for gradient descent. Every measurement comes with a bound on its error. A series that was
    interrupted, or is to be longer, goes on with the same command.

    Example: `lastbit sharpness fc-cifar10-5k --steps 300 --every 10`
    """
    changed = (*(changes or ()), *([f"optimizer.lr={lr}"] if lr is not None else ()))
    with wrong_input():
        chosen = load_recipe(recipe, scale=scale, changes=changed)
        series = Series(
            chosen,
            every=every,
            k=k,
            layers=layers,
            flow=flow,
            seed=seed,
            images=images,
            device=choose_device(device),
            root=root,
        )
        directory = out or Path("runs") / f"sharpness-{chosen.name}{'' if scale == FULL else f'-{scale}'}"
        opened = series.open(directory, steps=steps)
    with step_progress(chosen.name, steps) as progress:
        content = opened.run(on_point=lambda point: progress(point.step, f"loss {point.loss:.4g}"))
    page = directory / PAGE
    _draw(content, page)
    write_json(json, content["rows"])
    if json != "-":
        _show(content, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)


def _draw(content: dict[str, Any], page: Path) -> None:
    from lastbit.report.sharpness import write_sharpness  # the charts' library takes a third of a second to import

    write_sharpness(content, page)


def _show(content: dict[str, Any], terminal: Console) -> None:
    rows = content["rows"]
    table = Table("step", "loss", "sharpness", "residual", "edge", "normalised", "matvecs")
    for column in table.columns:
        column.justify = "right"
    for row in _some(rows):
        table.add_row(f"{row['step']:,}", *(_number(row[name]) for name in _NAMES), str(row["matvecs"]))
    terminal.print(f"{content['recipe']['name']}: sharpness against the edge, {content['edge']}")
    terminal.print(table)
    if len(rows) > _SHOWN:
        terminal.print(f"{_SHOWN} of {len(rows)} measurements; all are in the page's directory, in rows.jsonl")
    terminal.print(f"{content['finding']}.", style="bold")


def _some(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that fit a terminal, evenly chosen, the first and the last among them."""
    if len(rows) <= _SHOWN:
        return rows
    return [rows[round(place * (len(rows) - 1) / (_SHOWN - 1))] for place in range(_SHOWN)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
