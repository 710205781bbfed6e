"""`lastbit recipe`: the recipes a study can use."""

from typing import Annotated

import typer
from rich.table import Table

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.training.catalogue import FULL, load_recipe, recipe_names, scale_names

app = typer.Typer(no_args_is_help=True, help="The recipes a study can use.")


@app.command("list")
def list_recipes(json: JsonOption = None) -> None:
    """List the built-in recipes.

    Example: `lastbit recipe list`
    """
    recipes = [load_recipe(name) for name in recipe_names()]
    rows = [{"name": r.name, "scales": [FULL, *scale_names(r.name)], "description": r.description} for r in recipes]
    write_json(json, rows)
    table = Table("recipe", "scales", "what it is")
    for row in rows:
        table.add_row(str(row["name"]), ", ".join(row["scales"]), str(row["description"]))
    if json != "-":
        console(json).print(table)


@app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="A built-in recipe, or a .toml file.")],
    scale: Annotated[str, typer.Option(help="`paper`, or a reduced scale of the recipe.")] = FULL,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field.")] = None,
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
