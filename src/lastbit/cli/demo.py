"""`lastbit demo`: a table, a verdict and a page in two minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lastbit.cli.cost import Answers, YesOption
from lastbit.cli.options import demo_scales
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.workers import Executors, SchedulerOption, WorkersOption, chosen_executors
from lastbit.storage.directories import Kind, check_free
from lastbit.training.catalogue import load_recipe

_NOISES = (1, 3, 5, 7)
_SEEDS = (1, 2, 3)
_RECIPES = ("demo", "demo-swish")


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the demo is kept.")] = Path("demo"),
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    scale: Annotated[
        str, typer.Option(autocompletion=demo_scales, help="`paper`, or `smoke` for a few seconds.")
    ] = "paper",
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """See the last bit grow, in two minutes, on bundled images.

    Two studies: a small network, with ReLU and then with Swish, is trained for several seeds, and for each seed again
    with nothing changed but the last bit of its updates.

    Example: `lastbit demo`
    """
    from lastbit.cli.study import show, update_page

    executors = chosen_executors(workers, scheduler)
    check_free(out, Kind.STUDIES)
    studies = {out / recipe: _run(recipe, out / recipe, executors, scale, Answers(yes)) for recipe in _RECIPES}
    page = out / "report.html"
    update_page(studies, page)
    write_json(json, {results["name"]: results for results in studies.values()})
    if json != "-":
        for results in studies.values():
            show(results, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)


def _run(recipe: str, out: Path, executors: Executors, scale: str, answers: Answers) -> dict[str, Any]:
    from lastbit.cli.run_study import run_study
    from lastbit.noise import Scale
    from lastbit.study import Study
    from lastbit.training.recipe_training import RecipeTraining

    chosen = load_recipe(recipe, scale=scale)
    training = RecipeTraining(chosen)
    study = Study(out, training, noises=[Scale(k) for k in _NOISES], seeds=_SEEDS)
    return run_study(study, executors=executors, title=recipe, answers=answers, training=training)
