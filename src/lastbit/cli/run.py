"""`lastbit run`: perturbed replicas of anybody's training script."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lastbit.cli.cost import Answers, YesOption, announce_rest, announce_study
from lastbit.cli.noises import Noises, with_noises
from lastbit.cli.options import MOST_WORKERS, parse_numbers
from lastbit.cli.output import FailedError, JsonOption, SafeConsole, console, write_json
from lastbit.cli.workers import Crew, SchedulerOption, WorkersOption, chosen_crew
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.script.file_metric import FileMetric
    from lastbit.script.metrics import MetricSource
    from lastbit.script.pattern_metric import PatternMetric
    from lastbit.script.training import ScriptTraining
    from lastbit.study import Study


SeedsOption = Annotated[str, typer.Option(metavar="LIST", help="Seeds, with --seed-arg or --seed-env.")]
SeedArgOption = Annotated[str | None, typer.Option(metavar="TEXT", help='Such as "--seed {seed}".')]
SeedEnvOption = Annotated[str | None, typer.Option(metavar="NAME", help="An environment variable, such as SEED.")]
MetricOption = Annotated[
    list[str] | None, typer.Option(metavar="REGEX", help="Of the output, such as 'acc=([0-9.]+)'; the last counts.")
]
MetricFileOption = Annotated[
    list[str] | None, typer.Option(metavar="PATH:KEY", help="Of a JSON, JSON-lines or CSV file that is written.")
]


@with_noises
def run(
    noises: Noises,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- SCRIPT [ARGS]...", help="As you would give it to python.")
    ] = None,
    seeds: SeedsOption = "1",
    seed_arg: SeedArgOption = None,
    seed_env: SeedEnvOption = None,
    metric: MetricOption = None,
    metric_file: MetricFileOption = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the study is kept [runs/SCRIPT].")] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    threads: Annotated[
        int, typer.Option(min=0, max=MOST_WORKERS, help="Of each process; 0 leaves them to the script.")
    ] = 1,
    snapshots: Annotated[float, typer.Option(help="Of the weights, for each decade of steps.")] = 10,
    show_output: Annotated[bool, typer.Option("--show", help="Show what the runs write, as they write it.")] = False,
    uncontrolled: Annotated[bool, typer.Option("--uncontrolled", help="Leave out the control runs.")] = False,
    yes: YesOption = False,
    json: JsonOption = None,
) -> None:
    """Run any PyTorch script over seeds and noises, unchanged.

    Each pair of seed and noise is run once, and the end is how far the last bit carries. The script needs no change:
    the noise is put on every optimizer it makes, and its weights are kept along the way. A study that was interrupted
    goes on with the same command. `{trial}` in the arguments is a directory of each run.

    Example: `lastbit run --seeds 1-3 --seed-arg "--seed {seed}" --metric "acc=([0-9.]+)" -- train.py --epochs 5`
    """
    from lastbit.cli.run_study import check_stored
    from lastbit.script import parse_target
    from lastbit.script.study import check_directory, find_again, script_study
    from lastbit.script.training import ScriptTraining

    crew = chosen_crew(workers, scheduler)
    numbers = parse_numbers(seeds, "--seeds")
    training = ScriptTraining(
        parse_target(command or []),
        seed_arg=_checked_seed_arg(seed_arg, numbers, seed_env),
        seed_env=_checked_seed_env(seed_env),
        threads=threads or None,
        snapshots=_checked_snapshots(snapshots),
        sources=_sources(metric or [], metric_file or [], crew),
        on_line=_shown(crew) if show_output else None,
    )
    place = out or Path("runs") / str(training.settings["name"])
    study = script_study(place, training, noises=noises.chosen(), seeds=numbers, controlled=not uncontrolled)
    check_directory(study, training)
    check_stored(study)
    # What other commands look for in the same runs must not come between looking, running and collecting.
    with study.store.claimed(study.description()):
        find_again(study, training)
        failed = _run(study, training, crew, Answers(yes))
        _tell(study, training, json)
    if failed is not None:
        raise failed


def _shown(crew: Crew) -> Callable[[str], None]:
    if crew.scheduler is not None:
        raise LastbitError(
            "--show follows runs on this machine: with --scheduler, leave it out; what they wrote is in output/ of each"
        )
    # Through sys.stderr, which the progress bar stands in for while it is drawn.
    return lambda line: print(line, file=sys.stderr)  # noqa: T201


def _tell(study: Study, training: ScriptTraining, json: str | None) -> None:
    """Store the results, draw the page, print the table, and say what a person should know."""
    from lastbit.cli.page import write_page
    from lastbit.cli.run_study import store_results
    from lastbit.cli.show import show
    from lastbit.script.study import choose_metric

    choose_metric(study, training)
    results = store_results(study)
    write_json(json, results)
    if not study.stored():
        return  # all failed, and what is said of that comes last
    page = study.store.root / "report.html"
    write_page([results], page)
    if json != "-":
        show(results, console(json))
        console(json).print(f"page: {page}", soft_wrap=True)
    _remarks(study, training, SafeConsole(stderr=True))


def _run(study: Study, training: ScriptTraining, crew: Crew, answers: Answers) -> FailedError | None:
    """Run what is not stored yet; return what is to be said in the end where runs failed."""
    from lastbit.cli.run_study import run_trials
    from lastbit.script.study import shared_files
    from lastbit.study import ControlsFailedError, TrialFailedError

    announce_study(study, crew=crew, run_seconds=lambda: None, answers=answers)
    try:
        run_trials(
            study,
            executor=lambda: _executor(study, training, crew),
            workers=crew.workers,
            title=study.name,
            on_estimate=lambda seconds: announce_rest(study.name, seconds, answers),
        )
    except FailedError as error:
        cause = error.__cause__
        if isinstance(cause, TrialFailedError) and (found := [each for each in cause.failures if each.fatal]):
            raise LastbitError(str(found[0].error)) from error
        if isinstance(cause, ControlsFailedError):
            shared = f". {said}" if (said := shared_files(study, training)) else ""
            where = f". To see where: lastbit audit -- {shlex.join(training.target.words)}"
            raise FailedError(f"{cause}{shared}{'' if cause.controls.trained_alike else where}") from error
        return error
    return None


def _executor(study: Study, training: ScriptTraining, crew: Crew) -> AbstractContextManager[Executor]:
    """A cluster's workers, or threads that wait for processes here."""
    from lastbit.script.processes import thread_pool

    if crew.scheduler is not None:
        return crew.executor()
    return thread_pool(crew.limited(len(study.pending())), training.children)


def _sources(patterns: list[str], files: list[str], crew: Crew) -> tuple[MetricSource, ...]:
    from lastbit.script.file_metric import parse_file_metric
    from lastbit.script.pattern_metric import PatternMetric
    from lastbit.script.training import DIRECTORY

    found = [parse_file_metric(text) for text in files]
    for file in found:
        if crew.side_by_side and DIRECTORY not in file.path:
            raise LastbitError(
                f"--metric-file {file.path}:{file.key}: runs side by side would all write {file.path}; let the script "
                f"write below {DIRECTORY}, which is another directory in each run, or give --workers 1"
            )
    _check_distinct([PatternMetric(text) for text in patterns], found)
    return (*(PatternMetric(text) for text in patterns), *found)


def _check_distinct(patterns: list[PatternMetric], files: list[FileMetric]) -> None:
    names = [name for pattern in patterns for name in pattern.names] + [name for file in files for name in file.names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise LastbitError(f"two metrics are called {twice[0]}: name a group, as in '(?P<other>[0-9.]+)'")


def _checked_seed_env(seed_env: str | None) -> str | None:
    from lastbit.script.training import FIXED_VARIABLES

    if seed_env is not None and (not seed_env.isidentifier() or not seed_env.isascii() or seed_env in FIXED_VARIABLES):
        fixed = ", and not one that lastbit sets itself" if seed_env in FIXED_VARIABLES else ""
        raise LastbitError(f"--seed-env {seed_env!r}: give the name of an environment variable, such as SEED{fixed}")
    return seed_env


def _checked_seed_arg(seed_arg: str | None, seeds: list[int], seed_env: str | None) -> str | None:
    if seed_arg is None and seed_env is None and len(seeds) > 1:
        raise LastbitError(
            f'{len(seeds)} seeds were given and no --seed-arg to hand them to the script, such as "--seed {{seed}}";'
            " a script that reads its seed from its environment takes it by --seed-env, such as --seed-env SEED"
        )
    if seed_arg is not None:
        if "{seed}" not in seed_arg:
            raise LastbitError(f"--seed-arg {seed_arg!r} has no {{seed}} in it, so every run would have the same seed")
        try:
            shlex.split(seed_arg.format(seed=1))
        except (KeyError, IndexError, ValueError) as error:
            raise LastbitError(
                f'--seed-arg {seed_arg!r} cannot be filled in ({error!r}): write "--seed {{seed}}"'
            ) from None
    return seed_arg


def _checked_snapshots(per_decade: float) -> float:
    if not 0 < per_decade < float("inf"):
        raise LastbitError(
            f"--snapshots {per_decade}: give a positive number, such as 10, of snapshots a decade of steps"
        )
    return per_decade


def _remarks(study: Study, training: ScriptTraining, terminal: Console) -> None:
    """Say on standard error what a person should know about how the script was run."""
    from lastbit.script.notes import last_lines
    from lastbit.script.study import notes_of, remarks
    from lastbit.study.stored_trial import OUTPUT

    trials = study.stored()
    notes = [notes_of(study, trial) for trial in trials]
    unfused = max(note.unfused for note in notes)
    if unfused:
        terminal.print(
            f"{unfused} optimizer(s) were made with fused=True, which was turned off in every run, the baseline's "
            "included: fused kernels round otherwise and cannot be matched"
        )
    for line in remarks(study, training):
        terminal.print(line, markup=False, soft_wrap=True)
    rows = [row for trial in trials for row in study.store.load(trial).metrics]
    missing = [source for source in training.sources if not any(name in row for name in source.names for row in rows)]
    for source in missing:
        lines = last_lines(study.store.load(trials[0]).directory / OUTPUT)
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        terminal.print(
            f"no run gave the metric {' or '.join(source.names)} ({source}); its output ended with\n{said}\n"
            "What the weights say stands. With another --metric the same command looks again and runs nothing twice.",
            markup=False,
        )
