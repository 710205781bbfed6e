"""`lastbit study`: a recipe trained over seeds and noises; and how a study is shown on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lastbit.cli.cost import Answers, YesOption
from lastbit.cli.noises import USUAL, Noises, with_noises
from lastbit.cli.options import LARGEST, SEEDED, ChangesOption, DeviceOption, RecipeArgument, RootOption, ScaleOption
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.varied import USUAL_SEEDS, RunsOption, VaryOption, announce_design, planned
from lastbit.cli.workers import SchedulerOption, WorkersOption, chosen_executors
from lastbit.errors import LastbitError
from lastbit.storage.directories import RESULTS
from lastbit.storage.files import writing
from lastbit.training.catalogue import FULL, load_recipe

if TYPE_CHECKING:
    from lastbit.report.study.naming import ShownMetric
    from lastbit.report.study.stored import StudyJson

_FIRST, *_OTHERS = (6, 3, 12, 30)  # runs for which the least detectable gain is printed


@with_noises
def study(
    recipe: RecipeArgument,
    noises: Noises,
    seeds: Annotated[str | None, typer.Option(metavar="LIST", help=f"Seeds of {SEEDED} [{USUAL_SEEDS}].")] = None,
    vary: VaryOption = None,
    runs: RunsOption = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the study is kept [runs/RECIPE].")] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    scale: ScaleOption = FULL,
    changes: ChangesOption = None,
    uncontrolled: Annotated[bool, typer.Option("--uncontrolled", help="Leave out the control runs.")] = False,
    device: DeviceOption = "auto",
    root: RootOption = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST, metavar="N", help="Epochs after which a killed trial can go on [never]."),
    ] = None,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Train a recipe over seeds and noises, and compare the runs.

    Each pair of seed and noise is trained once; the result is a table, a verdict and a page. With --vary, several
    sources of randomness each take seeds of their own, and the result is what each contributes. An interrupted study
    continues when the same command is given again.

    Examples: `lastbit study demo --noise ulp --noise-seeds 1-5`,
    `lastbit study demo --k 1,3,5 --seeds 1-3 --set optimizer.lr=0.05 --out runs/low-lr`,
    `lastbit study demo --vary init,order,last-bit --runs 24`
    """
    from lastbit.cli.run_study import run_study
    from lastbit.study import Study
    from lastbit.training.recipe_training import RecipeTraining

    executors = chosen_executors(workers, scheduler)
    chosen = load_recipe(recipe, scale=scale, changes=tuple(changes or ()))
    training = RecipeTraining(chosen, executors.device(device), root, checkpoint_every)
    if executors.scheduler is None:  # else each worker looks for itself
        training.check()
    study = Study(
        out or Path("runs") / _directory(chosen.name, scale, noises.kind, varied=vary is not None),
        training,
        **planned(vary=vary, runs=runs, seeds=seeds, noises=noises),
        controlled=not uncontrolled,
    )
    announce_design(study, Answers(yes))
    results = run_study(study, executors=executors, title=chosen.name, answers=Answers(yes), training=training)
    _finish(results, study.store.root, json)


def _finish(results: StudyJson, directory: Path, json: str | None) -> None:
    """Draw the page, write the JSON and print the rest."""
    page = directory / "report.html"
    update_page({directory: results}, page)
    write_json(json, results)
    if json != "-":
        show(results, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)


def _directory(recipe: str, scale: str, noise: str, *, varied: bool) -> str:
    """The default directory, named for what is not the default: `demo`, `demo-smoke-ulp`, `demo-sources`."""
    parts = {scale: scale != FULL, noise.partition(":")[0]: noise != USUAL, "sources": varied}
    return "-".join([recipe, *(part for part, is_unusual in parts.items() if is_unusual)])


def show(results: StudyJson, console: Console) -> None:
    """Print a study's verdict, and below it the paper's Table 1, the controls, and what the runs show."""
    from lastbit.report.study.naming import metric_of
    from lastbit.report.study.tables import accuracy_table, variance_note, variance_table

    console.print(f"{results['name']}: {results['verdict']}", style="bold")
    if results.get("design") is not None:
        show_sources(results, console)
        return
    metric, trials = metric_of(results), results["trials"]
    if not trials or any(metric.of(trial) is not None or trial["diverged_at"] is not None for trial in trials):
        unit = " in percent" if metric.is_percentage else ""
        console.print(f"{metric.label}{unit}, STD with ddof 1")
        console.print(accuracy_table(results).for_terminal(small=False))
    else:
        console.print(f"weights only, for no run gave {metric.label}")
    _show_controls(results, console)
    if (sources := variance_table(results)).rows:
        console.print(f"where the variance of one run's {metric.label} comes from")
        console.print(sources.for_terminal())
        console.print(variance_note(results))
    if results["least_detectable_gain"] is not None:
        console.print(_gains(results["least_detectable_gain"], metric))
    console.print()


def show_sources(results: StudyJson, console: Console) -> None:
    """Print what each of several sources contributes, first on an unlimited test set, what is unknown, the controls."""
    from lastbit.report.study.sources import missing_words, sources_quality_table, sources_table

    for table in (sources_quality_table(results), sources_table(results)):
        if table.rows:
            console.print(table.for_terminal())
    if missing := missing_words(results):
        console.print(missing)
    _show_controls(results, console)
    console.print()


def _show_controls(results: StudyJson, console: Console) -> None:
    console.print(_controls(results))
    if len(groups := results["numerics"]) > 1:
        console.print(f"numerics: {'; '.join(_group(group) for group in groups)}")


def _group(group: Mapping[str, Any]) -> str:
    return (
        f"seeds {', '.join(map(str, group['seeds']))} on {group['bit_fingerprint'] or 'one without a bit fingerprint'}"
    )


def _controls(results: StudyJson) -> str:
    if results["controls"] is None:
        return "controls: not run"
    # Stored JSON has its keys sorted; people expect the plain repetition first, computed or stored.
    ordered = sorted(results["controls"].items(), key=lambda control: (control[0] != "repeat", control[0]))
    words = (f"{name.replace('_', ' ')} {'bit-identical' if same else 'DIFFERS'}" for name, same in ordered)
    return f"controls: {', '.join(words)}"


def _gains(gains: Mapping[str, float], metric: ShownMetric) -> str:
    """The least gains that runs can show."""
    by_runs = {int(runs): f"+{metric.spread(gain)}" for runs, gain in gains.items()}
    others = ", ".join(f"{by_runs[runs]} with {runs}" for runs in _OTHERS)
    return (
        f"to detect {by_runs[_FIRST]}{metric.points}, train {_FIRST} runs of each of two recipes ({others}): a t test "
        "then finds such a gain in 80 % of cases"
    )


def update_page(studies: Mapping[Path, Mapping[str, Any]], page: Path) -> None:
    """Draw `page` from the studies' results by their directory, unless it is there and newer than all of them.

    Raises:
        LastbitError: the page cannot be written, or stored results do not hold what a page needs.
    """
    from lastbit.report.shape import ShapeError  # only here: the charts' library takes a third of a second to import

    files = [directory / RESULTS for directory in studies]
    if page.is_file() and all(_is_older(file, page) for file in files):
        return
    try:
        draw_studies(list(studies.values()), page)
    except ShapeError as error:
        places = " or ".join(map(str, files))
        raise LastbitError(f"{places} does not hold what it should: {error}") from None


def draw_studies(studies: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Draw `page`.

    Raises:
        LastbitError: it cannot be written.
    """
    from lastbit.report.study import write_report  # only here: the charts' library takes a third of a second to import

    with writing(page.parent):
        write_report(studies, page)


def _is_older(file: Path, page: Path) -> bool:
    return file.stat().st_mtime_ns < page.stat().st_mtime_ns
