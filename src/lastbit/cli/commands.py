"""The `lastbit` command: its subcommands."""

from importlib.metadata import version
from typing import Annotated

import typer

from lastbit.cli import (
    audit,
    check,
    compare,
    data,
    demo,
    doctor,
    explore,
    growth,
    paper,
    pde,
    recipe,
    report,
    run,
    sharpness,
    study,
    worker,
)

app = typer.Typer(
    name="lastbit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How far the last bit of floating-point arithmetic carries into training a neural network.",
)
app.command("demo")(demo.demo)
app.command("study")(study.study)
app.command("sharpness")(sharpness.sharpness)
app.command("run", context_settings={"allow_interspersed_args": False})(run.run)
app.command("audit")(audit.audit)
app.command("growth")(growth.growth)
app.command("worker")(worker.worker)
app.command("report")(report.report)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("explore")(explore.explore)
app.command("doctor")(doctor.doctor)
app.add_typer(pde.app, name="pde")
app.add_typer(paper.app, name="paper")
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"lastbit {version('lastbit')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    asked: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """How far the last bit of floating-point arithmetic carries into training a neural network."""
