"""`lastbit run`: perturbed replicas of anybody's training script."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastbit.cli.cost import Answers, YesOption
from lastbit.cli.noises import Noises, with_noises
from lastbit.cli.options import MOST_WORKERS
from lastbit.cli.output import JsonOption, SafeConsole, console, write_json
from lastbit.cli.script_seeds import (
    SeedArgOption,
    SeedArgsOption,
    SeedEnvOption,
    SeedsOption,
    checked_seed_arg,
    checked_seed_env,
    parse_seed_args,
)
from lastbit.cli.varied import USUAL_SEED, RunsOption, planned
from lastbit.cli.workers import Executors, SchedulerOption, WorkersOption, chosen_executors
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.script.metrics import MetricSource
    from lastbit.script.training import ScriptTraining
    from lastbit.study import Study


CommandArgument = Annotated[
    list[str] | None, typer.Argument(metavar="-- SCRIPT [ARGS]...", help="As you would give it to python.")
]
StudyDirectoryOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the study is kept [runs/SCRIPT].")
]
ThreadsOption = Annotated[
    int, typer.Option(min=0, max=MOST_WORKERS, help="Of each process; 0 leaves them to the script.")
]
WeightSnapshotsOption = Annotated[float, typer.Option(help="Of the weights, for each decade of steps.")]
ShowOption = Annotated[bool, typer.Option("--show", help="Show what the runs write, as they write it.")]
UncontrolledOption = Annotated[bool, typer.Option("--uncontrolled", help="Leave out the control runs.")]
MetricOption = Annotated[
    list[str] | None, typer.Option(metavar="REGEX", help="Of the output, such as 'acc=([0-9.]+)'; the last counts.")
]
MetricFileOption = Annotated[
    list[str] | None, typer.Option(metavar="PATH:KEY", help="Of a JSON, JSON-lines or CSV file that is written.")
]
RemedyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="REMEDY", help="Also run with it, such as smooth=silu, and compare; `+` puts on two at once."),
]


@with_noises
def run(
    noises: Noises,
    command: CommandArgument = None,
    seeds: SeedsOption = None,
    seed_arg: SeedArgOption = None,
    seed_env: SeedEnvOption = None,
    vary: SeedArgsOption = None,
    runs: RunsOption = None,
    metric: MetricOption = None,
    metric_file: MetricFileOption = None,
    remedy: RemedyOption = None,
    out: StudyDirectoryOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    threads: ThreadsOption = 1,
    snapshots: WeightSnapshotsOption = 10,
    show_output: ShowOption = False,
    uncontrolled: UncontrolledOption = False,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Run any PyTorch script over seeds and noises, unchanged.

    Each pair of seed and noise is run once, and the end is how far the last bit carries. The script needs no change:
    the noise is put on every optimizer it makes, and its weights are kept along the way. A study that was interrupted
    continues with the same command. `{trial}` in the arguments is a directory of each run. With --vary, each source of
    randomness that the script has an argument for takes seeds of its own, and the end is what each contributes. With
    --remedy, the script also runs with a remedy put on it from outside, and the end is what that changes.

    Examples: `lastbit run --seeds 1-3 --seed-arg "--seed {seed}" --metric "acc=([0-9.]+)" -- train.py --epochs 5`,
    `lastbit run --vary "init=--init-seed {seed}" --vary "order=--order-seed {seed}" --vary last-bit -- train.py`
    """
    from lastbit.cli.run_remedies import compare_parts, script_parts
    from lastbit.cli.script_runs import run_and_report
    from lastbit.remedies.given import script_treatments
    from lastbit.script import parse_target
    from lastbit.script.launchers import check_launched, cores_for
    from lastbit.script.processes import Children
    from lastbit.script.study import script_study
    from lastbit.script.training import ScriptTraining

    target = parse_target(command or [])
    check_launched(target)
    executors = chosen_executors(workers, scheduler)
    cores = cores_for(target, None if executors.scheduler else executors.workers)
    executors = replace(executors, workers=cores.side_by_side or 1, processes=cores.processes or 1)
    names, seed_args = parse_seed_args(vary, target.words, seed_arg=seed_arg, seed_env=seed_env)
    plan = planned(vary=names, runs=runs, seeds=seeds, noises=noises, usual=USUAL_SEED)
    treatments = script_treatments(remedy or [])
    if treatments and names:
        raise LastbitError("--remedy compares runs over seeds and noises without --vary: leave one of them out")
    training = ScriptTraining(
        target,
        seed_arg=checked_seed_arg(seed_arg, plan.get("seeds", ()), seed_env),
        seed_env=checked_seed_env(seed_env),
        seed_args=seed_args,
        threads=threads or None,
        snapshots=_checked_snapshots(snapshots),
        metrics=_metrics(metric or [], metric_file or [], executors),
        on_line=_shown(executors) if show_output else None,
        children=Children(cores),
    )
    kind = "-remedies" if treatments else "-sources" if seed_args else ""
    place = out or Path("runs") / f"{training.settings['name']}{kind}"
    if treatments:
        parts = script_parts(training, treatments, place, controlled=not uncontrolled, **plan)
        compare_parts(parts, place, executors, Answers(yes), json)
        return
    study = script_study(place, training, controlled=not uncontrolled, **plan)
    run_and_report(study, training, executors, Answers(yes), lambda: _report(study, training, json))


def _shown(executors: Executors) -> Callable[[str], None]:
    if executors.scheduler is not None:
        raise LastbitError(
            "--show follows runs on this machine: with --scheduler, leave it out; what they wrote is in output/ of each"
        )
    # Through sys.stderr, which the progress bar stands in for while it is drawn.
    return lambda line: print(line, file=sys.stderr)  # noqa: T201


def _report(study: Study, training: ScriptTraining, json: str | None) -> None:
    """Store the results, draw the page, print the table and the remarks."""
    from lastbit.cli.study import draw_studies, show
    from lastbit.script.study import choose_metric, remarks

    choose_metric(study, training)
    results = study.store_results()
    write_json(json, results)
    if not study.stored():
        return  # all failed, and what is said of that comes last
    page = study.store.root / "report.html"
    draw_studies([results], page)
    if json != "-":
        show(results, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)
    for remark in remarks(study, training):
        SafeConsole(stderr=True).print(remark, markup=False, soft_wrap=True)


def _metrics(patterns: list[str], files: list[str], executors: Executors) -> tuple[MetricSource, ...]:
    from lastbit.script.file_metric import parse_file_metric
    from lastbit.script.pattern_metric import PatternMetric
    from lastbit.script.training import TRIAL_PLACE

    file_metrics = [parse_file_metric(text) for text in files]
    for file in file_metrics:
        if executors.side_by_side and TRIAL_PLACE not in file.path:
            raise LastbitError(
                f"--metric-file {file.path}:{file.key}: runs side by side would all write {file.path}; let the script "
                f"write below {TRIAL_PLACE}, which is another directory in each run, or give --workers 1"
            )
    sources: tuple[MetricSource, ...] = (*(PatternMetric(text) for text in patterns), *file_metrics)
    names = [name for source in sources for name in source.names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise LastbitError(f"two metrics are called {twice[0]}: name a group, as in '(?P<other>[0-9.]+)'")
    return sources


def _checked_snapshots(per_decade: float) -> float:
    if not 0 < per_decade < float("inf"):
        raise LastbitError(
            f"--snapshots {per_decade}: give a positive number, such as 10, of snapshots a decade of steps"
        )
    return per_decade
