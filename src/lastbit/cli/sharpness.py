"""`lastbit sharpness`: how far a recipe's training is from its edge of stability, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
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
)
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.storage.files import writing
from lastbit.training.catalogue import FULL, load_recipe

if TYPE_CHECKING:
    from lastbit.training.recipe import Recipe

_PAGE = "sharpness.html"
_SHOWN = 12  # rows of the table on the terminal

StepsOption = Annotated[int, typer.Option("--steps", max=LARGEST, metavar="N", help="Updates of the training, in all.")]
EveryOption = Annotated[
    str, typer.Option("--every", metavar="M", help="Measure every M steps; `log` or `log:5`: so many a decade.")
]
EigenvaluesOption = Annotated[int, typer.Option("--k", max=LARGEST, help="Largest eigenvalues wanted.")]
LearningRateOption = Annotated[float | None, typer.Option("--lr", help="Short for --set optimizer.lr=LR.")]
LayersOption = Annotated[bool, typer.Option("--layers", help="Measure each linear and convolutional layer too.")]
FlowOption = Annotated[bool, typer.Option("--flow", help="Follow the gradient flow beside the descent.")]
CentralFlowOption = Annotated[
    bool, typer.Option("--central-flow", help="Follow what the descent does on average, past its edge too.")
]
CriticalOption = Annotated[
    bool, typer.Option("--critical", help="Say by what factor the rate may rise, by forward passes along each update.")
]
BatchSharpnessOption = Annotated[
    bool, typer.Option("--batch-sharpness", help="Measure the curvature of batches along their own gradients too.")
]
OutOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the series is kept [runs/sharpness-…].")]
ImagesOption = Annotated[
    int,
    typer.Option("--images", max=LARGEST, metavar="N", help="Training images measured on, where steps use batches."),
]


def sharpness(
    recipe: RecipeArgument,
    steps: StepsOption,
    every: EveryOption = "10",
    k: EigenvaluesOption = 1,
    lr: LearningRateOption = None,
    layers: LayersOption = False,
    flow: FlowOption = False,
    central_flow: CentralFlowOption = False,
    critical: CriticalOption = False,
    batch_sharpness: BatchSharpnessOption = False,
    out: OutOption = None,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    images: ImagesOption = 1000,
    seed: SeedOption = 1,
    device: DeviceOption = "auto",
    root: RootOption = None,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Measure sharpness along a recipe, against the edge of stability.

    Sharpness is the largest eigenvalue of the loss's Hessian. Normalised sharpness is 2 at the edge of the optimizer in
    use: lr · sharpness for gradient descent. Every measurement comes with a bound on its error. A series that was
    interrupted, or is to be longer, continues with the same command.

    Example: `lastbit sharpness fc-cifar10-5k --steps 300 --every 10`
    """
    changed = (*(changes or ()), *([f"optimizer.lr={lr}"] if lr is not None else ()))
    chosen = load_recipe(recipe, scale=scale, changes=changed)
    measured = {"every": every, "k": k, "layers": layers, "flow": flow, "seed": seed, "images": images, "root": root}
    measured |= {"central_flow": central_flow, "critical": critical, "batch_sharpness": batch_sharpness}
    directory = out or Path("runs") / f"sharpness-{chosen.name}{'' if scale == FULL else f'-{scale}'}"
    content = _measure(chosen, measured, device, steps, directory, Answers(yes))
    page = directory / _PAGE
    _draw(content, page)
    write_json(json, content["rows"])
    if json != "-":
        _show(content, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)


def _measure(
    recipe: Recipe, measured: Mapping[str, Any], device: str, steps: int, directory: Path, answers: Answers
) -> dict[str, Any]:
    """Measure what is missing of a series, and return all of it as plain JSON."""
    from lastbit.cli.progress import step_progress
    from lastbit.training.device import choose_device
    from lastbit.training.sharpness import Series

    series = Series(recipe, device=choose_device(device), **measured)
    with ExitStack() as stack:
        opened = stack.enter_context(series.open(directory, steps=steps))
        told = partial(announce_steps, recipe.name, steps, answers=answers)
        progress = stack.enter_context(step_progress(recipe.name, steps, told))
        return opened.run(on_point=lambda point: progress(point.step, f"loss {point.loss:.4g}"))


def _draw(content: dict[str, Any], page: Path) -> None:
    from lastbit.report.sharpness import write_sharpness  # the charts' library takes a third of a second to import

    with writing(page.parent):
        write_sharpness(content, page)


def _show(content: dict[str, Any], terminal: Console) -> None:
    from lastbit.report.sharpness.beside import (
        TERMINAL_COLUMNS,
        batch_finding,
        batch_table,
        central_finding,
        critical_finding,
    )
    from lastbit.report.sharpness.page import layers_table, measurements_table

    rows = content["rows"]
    terminal.print(f"{content['finding']}.", style="bold")
    terminal.print(f"{content['recipe']['name']}: sharpness against the edge, {content['edge']}")
    terminal.print(measurements_table(content).for_terminal(most=_SHOWN))
    if len(rows) > _SHOWN:
        terminal.print(f"{_SHOWN} of {len(rows)} measurements; all are in the page's directory, in rows.jsonl")
    if (last := _last(rows, "batch")) is not None:
        terminal.print(batch_table(content, columns=TERMINAL_COLUMNS).for_terminal(most=_SHOWN))
        note = last["batch"]["note"]
        terminal.print(f"{batch_finding(last)}{f': {note}' if note else ''}.")
        terminal.print(f"In its last third, {content['stands']}.")
    if (last := _last(rows, "central")) is not None:
        terminal.print(f"{central_finding(last)}.")
    if (last := _last(rows, "critical")) is not None:
        terminal.print(f"{critical_finding(last)}.")
    if (last := _last(rows, "layers")) is not None:
        terminal.print(f"layers at step {last['step']:,}, all other weights held fixed")
        terminal.print(layers_table(last).for_terminal())
    if (last := _last(rows, "flow")) is not None:
        terminal.print(_distance(rows, last))


def _last(rows: list[dict[str, Any]], part: str) -> dict[str, Any] | None:
    """The last row that has a part; None where it was not asked for."""
    return next((row for row in reversed(rows) if row.get(part)), None)


def _distance(rows: list[dict[str, Any]], last: dict[str, Any]) -> str:
    """How far the descent is from its gradient flow."""
    known = [row for row in rows if row.get("flow") and row["flow"]["relative_l2"] is not None]
    if not known:
        return "The gradient flow could not be followed."
    end = known[-1]
    lost = "" if end is last else f"; from step {last['step']:,} on, the flow could not be followed"
    return (
        f"At step {end['step']:,} the descent is {100 * end['flow']['relative_l2']:.3g} % of the weights' norm away "
        f"from its gradient flow{lost}."
    )
