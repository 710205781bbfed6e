"""`lastbit recipe`: the recipes a study can use."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lastbit.cli.options import ChangesOption, RecipeArgument, ScaleOption
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.training.catalogue import FULL, load_recipe, recipe_names, scale_names

_TABLE = 100  # columns of a terminal from which on a table fits

app = typer.Typer(no_args_is_help=True, help="The recipes a study can use.")


@app.command("list")
def list_recipes(json: JsonOption = None) -> None:
    """List the built-in recipes.

    Example: `lastbit recipe list`
    """
    recipes = [load_recipe(name) for name in recipe_names()]
    rows = [{"name": r.name, "scales": [FULL, *scale_names(r.name)], "description": r.description} for r in recipes]
    write_json(json, rows)
    if json != "-":
        _show_list(rows, console(json))


def _show_list(rows: list[dict[str, Any]], terminal: Console) -> None:
    """A table, or on a narrow terminal a paragraph for each, so that no name is ever broken."""
    from rich.padding import Padding

    if terminal.width < _TABLE:
        for row in rows:
            terminal.print(Text(row["name"], style="bold"))
            terminal.print(Padding(Text(f"{', '.join(row['scales'])}: {row['description']}"), (0, 0, 0, 2)))
        return
    table = Table()
    table.add_column("recipe", no_wrap=True)
    table.add_column("scales", no_wrap=True)
    table.add_column("what it is")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["scales"]), row["description"])
    terminal.print(table)


@app.command("show")
def show_recipe(
    name: RecipeArgument,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    json: JsonOption = None,
) -> None:
    """Show every field of a recipe, with its defaults.

    Example: `lastbit recipe show demo --set optimizer.lr=0.05`
    """
    recipe = load_recipe(name, scale=scale, changes=tuple(changes or ()))
    fields = recipe.model_dump(mode="json")
    write_json(json, fields)
    if json != "-":
        console(json).print_json(data=fields)
