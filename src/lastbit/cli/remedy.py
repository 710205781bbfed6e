"""`lastbit remedy`: a recipe's remedies measured side by side with its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lastbit.cli.cost import Answers, YesOption, duration, recipe_seconds, start_seconds
from lastbit.cli.noises import Noises, with_noises
from lastbit.cli.options import (
    SEEDED,
    ChangesOption,
    DeviceOption,
    RecipeArgument,
    RootOption,
    ScaleOption,
    parse_numbers,
)
from lastbit.cli.output import JsonOption, SafeConsole
from lastbit.cli.remedy_plan import Costs, RemedyPart, planned_parts
from lastbit.cli.remedy_result import finish
from lastbit.cli.varied import USUAL_SEEDS
from lastbit.cli.workers import Executors, SchedulerOption, WorkersOption, chosen_executors
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free
from lastbit.training.catalogue import FULL, load_recipe

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from lastbit.study.comparison.remedies import Treated

_COSTS = "costs.json"
_USUAL_NOISES = 2  # of the usual ones, where none are listed


def _list_remedies(asked: bool) -> None:
    """Print which remedies there are."""
    if not asked:
        return
    from lastbit.remedies.remedy import REMEDIES
    from lastbit.report.table import Table

    rows = [[kind().label, kind.help, kind.changes, kind.source] for kind in REMEDIES.all()]
    table = Table("remedies", "", ["remedy", "what it does", "changes", "source"], sorted(rows), align="llll")
    SafeConsole().print(table.for_terminal())
    raise typer.Exit


RemediesOption = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Such as smooth=silu,average=0.99,clip=1+lr=0.5; `+` puts on two at once [each there is].",
    ),
]
ListOption = Annotated[
    bool, typer.Option("--list", callback=_list_remedies, is_eager=True, help="Show which remedies there are.")
]
SeedsOption = Annotated[str, typer.Option(metavar="LIST", help=f"Seeds of {SEEDED}.")]
WithinOption = Annotated[
    float, typer.Option(metavar="POINTS", help="The loss of accuracy that still counts as the same.")
]
OutOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where all is kept [runs/RECIPE-remedies].")]


@with_noises
def remedy(
    recipe: RecipeArgument,
    noises: Noises,
    remedies: RemediesOption = None,
    listed: ListOption = False,
    seeds: SeedsOption = USUAL_SEEDS,
    within: WithinOption = 1.0,
    out: OutOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    device: DeviceOption = "auto",
    root: RootOption = None,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Measure what lowers churn, remedy by remedy.

    A recipe is trained without and with each remedy, over noises and seeds. The result is a table, a page and a
    verdict: which remedies lower the churn at the same accuracy beyond doubt, and what they cost. An interrupted
    command continues when it is given again.

    Examples: `lastbit remedy demo`, `lastbit remedy demo --remedies smooth=silu,lr=0.5 --k 1,3 --seeds 1-4`
    """
    if not 0 < within < float("inf"):
        raise LastbitError(f"--within {within}: write a positive number of points")
    executors = chosen_executors(workers, scheduler)
    chosen = load_recipe(recipe, scale=scale, changes=tuple(changes or ()))
    directory = out or Path("runs") / "-".join([chosen.name, *([scale] if scale != FULL else []), "remedies"])
    check_free(directory, Kind.STUDIES)
    kept = noises.chosen() if noises.are_listed else noises.chosen()[:_USUAL_NOISES]
    numbers = parse_numbers(seeds, "--seeds")
    plan = planned_parts(
        chosen,
        remedies,
        directory,
        device=executors.device(device),
        root=root,
        is_here=executors.scheduler is None,
        noises=kept,
        seeds=numbers,
    )
    treated = _run(chosen.name, plan, Costs(directory / _COSTS), executors, Answers(yes))
    finish(chosen.name, treated, directory, within=within, json=json)


def _run(name: str, plan: Sequence[RemedyPart], costs: Costs, executors: Executors, answers: Answers) -> list[Treated]:
    """Run what is not stored yet, and give what was measured of each treatment.

    Raises:
        LastbitError, FailedError, StoppedCommandError: as `run_trials` does.
    """
    from lastbit.cli.run_study import check_stored, run_trials
    from lastbit.remedies.given import remedies_as_json
    from lastbit.study.comparison.remedies import Treated

    for part in plan:
        check_stored(part.study)
    pending = sum(len(part.study.pending()) for part in plan)
    one_run = recipe_seconds(plan[0].training) if pending and executors.scheduler is None else None
    if pending:
        _announce(name, plan, pending, one_run, executors, answers)
    treated = []
    with ExitStack() as stack:
        pool = stack.enter_context(executors.executor(pending)) if pending else None
        for part in plan:
            run_trials(
                part.study,
                executor=lambda: nullcontext(cast("Executor", pool)),
                workers=lambda: executors.limited(pending),
                title=part.name,
                seconds=one_run,
                on_stored=partial(costs.note, device=part.training.device),
            )
    for part in plan:
        results = part.study.results()
        part.study.store_results(results)
        options = remedies_as_json(part.treatment)
        treated.append(Treated(part.name, options, results, costs.seconds, part.memory, part.notes))
    return treated


def _announce(
    name: str, plan: Sequence[RemedyPart], pending: int, one_run: float | None, executors: Executors, answers: Answers
) -> None:
    """Say how many runs are to be made and about how long they take; ask if that is more than an hour.

    Raises:
        StoppedCommandError: the answer was no.
    """
    runs = f"{name}: {pending} runs to make, of {len(plan)} treatments, controls of each among them"
    if one_run is None:
        answers.say(f"{runs}, on {executors}")
        return
    workers = executors.limited(pending)
    seconds = start_seconds(workers) * len(plan) + one_run * -(-pending // workers)
    answers.say(f"{runs}, about {duration(seconds)} on {executors} (estimated from a few updates of the baseline)")
    answers.ask(seconds)
