"""`lastbit study`: perturbed replicas of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lastbit.cli.cost import Answers, YesOption
from lastbit.cli.noises import USUAL, Noises, with_noises
from lastbit.cli.options import LARGEST, ChangesOption, DeviceOption, RecipeArgument, ScaleOption, parse_numbers
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.workers import SchedulerOption, WorkersOption, chosen_executors
from lastbit.training.catalogue import FULL, load_recipe


@with_noises
def study(
    recipe: RecipeArgument,
    noises: Noises,
    seeds: Annotated[str, typer.Option(metavar="LIST", help="Seeds of batch order and augmentation.")] = "1-6",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the study is kept [runs/RECIPE].")] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    uncontrolled: Annotated[bool, typer.Option("--uncontrolled", help="Leave out the control runs.")] = False,
    device: DeviceOption = "auto",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the fetched data sets.")] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST, metavar="N", help="Epochs after which a killed trial can go on [never]."),
    ] = None,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Train a recipe over seeds and noises, and compare the runs.

    Each pair of seed and noise is trained once; the result is a table, a verdict and a page. An interrupted study
    continues when the same command is given again.

    Examples: `lastbit study demo --noise ulp --noise-seeds 1-5`,
    `lastbit study demo --k 1,3,5 --seeds 1-3 --set optimizer.lr=0.05 --out runs/low-lr`
    """
    from lastbit.cli.run_study import run_study
    from lastbit.cli.show import show, update_page
    from lastbit.study import Study
    from lastbit.training.recipe_training import RecipeTraining

    executors = chosen_executors(workers, scheduler)
    chosen = load_recipe(recipe, scale=scale, changes=tuple(changes or ()))
    training = RecipeTraining(chosen, executors.device(device), root, checkpoint_every)
    if executors.scheduler is None:  # else each worker looks for itself
        training.check()
    study = Study(
        out or Path("runs") / _directory(chosen.name, scale, noises.kind),
        training,
        noises=noises.chosen(),
        seeds=parse_numbers(seeds, "--seeds"),
        controlled=not uncontrolled,
    )
    results = run_study(study, executors=executors, title=chosen.name, answers=Answers(yes), training=training)
    page = study.store.root / "report.html"
    update_page({study.store.root: results}, page)
    write_json(json, results)
    if json != "-":
        show(results, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)


def _directory(recipe: str, scale: str, noise: str) -> str:
    """The default directory, named for what is not the default: `demo`, `demo-smoke-ulp`."""
    return "-".join(
        [recipe, *([scale] if scale != FULL else []), *([noise.partition(":")[0]] if noise != USUAL else [])]
    )
