"""`lastbit growth`: trains twins of a recipe in lock-step and shows how the last bit grows between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lastbit.cli.cost import Answers, YesOption, announce_steps
from lastbit.cli.options import (
    LARGEST,
    ChangesOption,
    DeviceOption,
    RecipeArgument,
    RootOption,
    ScaleOption,
    SeedOption,
    parse_numbers,
)
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind
from lastbit.storage.files import writing
from lastbit.storage.run_directory import RunDirectory
from lastbit.training.catalogue import FULL, load_recipe

if TYPE_CHECKING:
    from lastbit.noise import Scale
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
    seed: SeedOption = 1,
    jump: Annotated[float, typer.Option(help="Least factor of a jump.")] = 10.0,
    linearised: Annotated[
        bool,
        typer.Option("--linearised", help="Predict the distance by linearised training too; twenty times as long."),
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep growth.json and growth.html there.")] = None,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    device: DeviceOption = "auto",
    root: RootOption = None,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """See how the last bit grows between twins of a recipe.

    The twins are trained in lock-step and differ in their last bits only. After every step their weights are compared
    tensor by tensor, and the activations that lie on different sides of a kink are counted. The result is the rates of
    growth, the jumps, and what made them. With --out, a run that was interrupted continues with the same command: pairs
    that had finished are not trained again.

    Example: `lastbit growth demo --steps 100 --set model.activation=swish --out runs/growth`
    """
    numbers = _check_numbers(k, jump)
    chosen = load_recipe(recipe, scale=scale, changes=tuple(changes or ()))
    twins = _Twins(
        recipe=chosen,
        numbers=numbers,
        seed=seed,
        steps=steps,
        jump=jump,
        linearised=linearised,
        device=device,
        root=root,
    )
    content = twins.run(None if out is None else RunDirectory(out, Kind.GROWTH, known=None), Answers(yes))
    page = None if out is None else _draw(content, out)
    write_json(json, content)
    if json != "-":
        _show(content, page, console(json))


@dataclass(frozen=True, kw_only=True)
class _Twins:
    """The pairs of twins that a person asked for."""

    recipe: Recipe
    numbers: list[int]  # k of the baseline, then that of each other twin
    seed: int
    steps: int | None
    jump: float
    linearised: bool
    device: str
    root: Path | None

    def run(self, directory: RunDirectory | None, answers: Answers) -> dict[str, Any]:
        """Train the pairs that are not stored yet, and return the content of growth.json.

        Args:
            directory: keeps each pair as soon as its training ends; None where nothing is kept.
            answers: may ask a person before long work.

        Raises:
            LastbitError: the directory is something else's or in use, or the data are not here.
        """
        import torch

        from lastbit.training.device import choose_device
        from lastbit.training.task import prepare

        task = prepare(self.recipe, device=torch.device(choose_device(self.device)), root=self.root)
        steps = self.steps or 3 * task.steps_per_epoch
        settings = self.recipe.model_dump(mode="json")
        what = {"format": FORMAT, "name": self.recipe.name, "settings": settings, "seed": self.seed}
        asked = {"k": self.numbers, "steps": steps, "jump": self.jump, "device": task.train_images.device.type}
        if self.linearised:
            asked["linearised"] = True
        with ExitStack() as stack:
            if directory is not None:  # before hours of work
                stack.enter_context(directory.claimed({**what, **asked}))
            pairs = list(self._pairs(task, steps, directory, answers))
            content = {
                **what,
                "steps_per_epoch": task.steps_per_epoch,
                "pairs": [pair["pair"] for pair in pairs],
                "verdict": " ".join(pair["verdict"] for pair in pairs),
            }
            if directory is not None:
                with writing(f"--out {directory.root}"):
                    directory.write("growth.json", content)
        return content

    def _pairs(
        self, task: Task, steps: int, directory: RunDirectory | None, answers: Answers
    ) -> Iterator[dict[str, Any]]:
        """Each pair and its verdict: read where a run that was interrupted stored it, trained otherwise."""
        from lastbit.noise import Scale

        baseline, *others = (Scale(number) for number in self.numbers)
        for noise in others:
            name = f"pairs/k{noise.k}.json"
            if directory is not None and directory.holds(name):
                yield directory.read(name)
                continue
            run = self._train(task, noise, baseline, steps=steps, answers=answers)
            pair = {"pair": run.as_json(), "verdict": run.verdict}
            if directory is not None:
                with writing(f"--out {directory.root}"):
                    directory.write(name, pair)
            yield pair

    def _train(self, task: Task, noise: Scale, baseline: Scale, *, steps: int, answers: Answers) -> TwinRun:
        from lastbit.cli.progress import step_progress
        from lastbit.execution.numerics import repeatable_numerics
        from lastbit.training.twins import run_twins

        title = f"{self.recipe.name}, {noise.label} against {baseline.label}"
        announce = partial(announce_steps, title, steps, answers=answers)
        with repeatable_numerics(), step_progress(title, steps, announce) as on_step:
            return run_twins(
                self.recipe,
                task,
                noise=noise,
                baseline=baseline,
                seed=self.seed,
                steps=steps,
                jump=self.jump,
                linearised=self.linearised,
                on_step=on_step,
            )


def _check_numbers(k: str, jump: float) -> list[int]:
    """The values of `--k`; those of `--jump` are checked only."""
    numbers = parse_numbers(k, "--k")
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        raise LastbitError(f"--k {k}: give at least two different values, such as 1,3")
    if not 1 < jump < float("inf"):
        raise LastbitError(f"--jump {jump:g}: the least factor of a jump is above 1")
    return numbers


def _draw(content: dict[str, Any], directory: Path) -> Path:
    from lastbit.report.growth import write_growth_page  # only here: charts take a third of a second to import

    page = directory / "growth.html"
    with writing(f"--out {directory}"):
        write_growth_page(content, page)
    return page


def _show(content: dict[str, Any], page: Path | None, terminal: Console) -> None:
    from lastbit.report.growth.page import as_growth, rates_table

    table = rates_table(as_growth(content))
    terminal.print(content["verdict"], style="bold", soft_wrap=True)
    terminal.print(table.title)
    terminal.print(table.for_terminal())
    if page is not None:
        terminal.print(f"page: {page}", soft_wrap=True)
