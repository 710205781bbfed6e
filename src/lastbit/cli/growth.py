"""`lastbit growth`: trains twins of a recipe in lock-step and shows how the last bit grows between them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lastbit.cli.cost import Answers, YesOption, announce_steps
from lastbit.cli.options import LARGEST, ChangesOption, DeviceOption, RecipeArgument, ScaleOption, parse_numbers
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind
from lastbit.storage.files import writing
from lastbit.storage.run_directory import RunDirectory
from lastbit.training.catalogue import FULL, load_recipe

if TYPE_CHECKING:
    from lastbit.training.recipe import Recipe
    from lastbit.training.task import Task
    from lastbit.training.twins import TwinRun

FORMAT = 2  # of growth.json; 1 had no checksum


def growth(
    recipe: RecipeArgument,
    k: Annotated[
        str, typer.Option("--k", metavar="LIST", help="The first is what the others are compared with.")
    ] = "1,3",
    steps: Annotated[int | None, typer.Option(min=1, max=LARGEST, help="Updates to take [three epochs].")] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Of batch order and augmentation.")] = 1,
    jump: Annotated[float, typer.Option(help="Least factor of a jump.")] = 10.0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep growth.json and growth.html there.")] = None,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    device: DeviceOption = "auto",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the fetched data sets.")] = None,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """See how the last bit grows between twins of a recipe.

    The twins are trained in lock-step and differ in their last bits only. After every step their weights are compared
    tensor by tensor, and the activations counted that lie on different sides of a kink. The result is the rates of
    growth, the jumps, and what made them.

    Example: `lastbit growth demo --steps 100 --set model.activation=swish --out runs/growth`
    """
    import torch

    from lastbit.training.device import choose_device
    from lastbit.training.task import prepare
    from lastbit.training.twins import twin_verdict

    numbers = _check_numbers(k, jump)
    chosen = load_recipe(recipe, scale=scale, changes=tuple(changes or ()))
    task = prepare(chosen, device=torch.device(choose_device(device)), root=root)
    taken = steps or 3 * task.steps_per_epoch
    what = {"format": FORMAT, "name": chosen.name, "settings": chosen.model_dump(mode="json"), "seed": seed}
    directory = None if out is None else RunDirectory(out, Kind.GROWTH, known=None)
    with ExitStack() as stack:
        if directory is not None:  # before hours of work
            asked = {"k": numbers, "steps": taken, "jump": jump, "device": task.train_images.device.type}
            stack.enter_context(directory.claimed({**what, **asked}))
        runs = _run(chosen, task, numbers, seed=seed, steps=taken, jump=jump, answers=Answers(yes))
        content = {
            **what,
            "steps_per_epoch": task.steps_per_epoch,
            "pairs": [run.as_json() for run in runs],
            "verdict": twin_verdict(runs),
        }
        page = None if directory is None else _store(content, directory)
    write_json(json, content)
    if json != "-":
        _show(content, page, console(json))


def _check_numbers(k: str, jump: float) -> list[int]:
    """The values of `--k`; those of `--jump` are checked only."""
    numbers = parse_numbers(k, "--k")
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        raise LastbitError(f"--k {k}: give at least two different values, such as 1,3")
    if not 1 < jump < float("inf"):
        raise LastbitError(f"--jump {jump:g}: the least factor of a jump is above 1")
    return numbers


def _run(
    recipe: Recipe, task: Task, numbers: list[int], *, seed: int, steps: int, jump: float, answers: Answers
) -> list[TwinRun]:
    from lastbit.cli.progress import step_progress
    from lastbit.execution.numerics import repeatable_numerics
    from lastbit.noise import Scale
    from lastbit.training.twins import run_twins

    runs = []
    baseline, *others = (Scale(number) for number in numbers)
    train = partial(run_twins, recipe, task, baseline=baseline, seed=seed, steps=steps, jump=jump)
    with repeatable_numerics():
        for noise in others:
            title = f"{recipe.name}, {noise.label} against {baseline.label}"
            announce = partial(announce_steps, title, steps, answers=answers)
            with step_progress(title, steps, announce) as on_step:
                runs.append(train(noise=noise, on_step=on_step))
    return runs


def _store(content: dict[str, Any], directory: RunDirectory) -> Path:
    from lastbit.report.growth import write_growth_page  # only here: charts take a third of a second to import

    page = directory.root / "growth.html"
    with writing(f"--out {directory.root}"):
        directory.write("growth.json", content)
        write_growth_page(content, page)
    return page


def _show(content: dict[str, Any], page: Path | None, terminal: Console) -> None:
    terminal.print(content["verdict"], style="bold", soft_wrap=True)
    for pair in content["pairs"]:
        terminal.print(
            f"{pair['noise']} against {pair['baseline']}: relative L2 distance of the weights, ‖w − w′‖ / ‖w′‖"
        )
        for segment in pair["growth"]["segments"]:
            terminal.print(
                f"  steps {segment['first']:>5} to {segment['last']:>5}  rate {segment['rate']:+.4f} per step "
                f"(95 % interval {segment['lower']:+.4f} to {segment['upper']:+.4f}), factor {segment['factor']:.3g}",
                soft_wrap=True,
            )
        for leap in pair["growth"]["jumps"]:
            terminal.print(
                f"  step  {leap['step']:>5} jumps by a factor of {leap['factor']:.3g}, most in {leap['layer']}; "
                f"{leap['flips']:,} of {pair['activations']:,} activations differ in side",
                soft_wrap=True,
            )
        if level := pair["growth"]["saturation"]:
            terminal.print(f"  since step {level['since']} level at {level['level']:.2g}")
    if page is not None:
        terminal.print(f"page: {page}", soft_wrap=True)
