"""`lastbit compare`: which differences of recipes are more than noise?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import write_output

if TYPE_CHECKING:
    from lastbit.study.comparison import Comparison, RecipesComparison


# Of a study elsewhere: all but its weights, its reports and what is in progress.
_WANTED = ("study.json", "trials/*.json", "trials/*.jsonl", "trials/*/predictions.safetensors", "failed/*.json")

# What the command takes.
_Runs = Annotated[
    list[str],
    typer.Argument(metavar="FILE_OR_DIR...", help="Studies or their fsspec URLs; or tables of runs that exist."),
]
_By = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="A column that makes a recipe [all but the seed].")
]
_Metric = Annotated[str | None, typer.Option(metavar="NAME", help="What to compare [the studies' own].")]
_Seed = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="The column of the seed.")]
_Task = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the task or data set.")]
_Example = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the example, of a row for each.")]
_Cluster = Annotated[str | None, typer.Option(metavar="COLUMN", help="What examples belong to, such as the patient.")]
_Baseline = Annotated[str | None, typer.Option(metavar="NAME", help="To compare with [the first].")]
_LowerIsBetter = Annotated[
    bool | None,
    typer.Option("--lower-is-better/--higher-is-better", help="Which is better [by the metric's name]."),
]
_Within = Annotated[float | None, typer.Option(metavar="X", help="Which are the same as the baseline ± X?")]
_Step = Annotated[str, typer.Option(metavar="last|best|N", help="Of a history, the value that counts.")]
_Gain = Annotated[float | None, typer.Option(metavar="X", help="How many runs would show a gain of X?")]
_Out = Annotated[Path, typer.Option(metavar="DIR", help="Where page and numbers are kept.")]


def compare(
    runs: _Runs,
    by: _By = None,
    metric: _Metric = None,
    seed: _Seed = None,
    task: _Task = None,
    example: _Example = None,
    cluster: _Cluster = None,
    baseline: _Baseline = None,
    lower_is_better: _LowerIsBetter = None,
    within: _Within = None,
    step: _Step = "last",
    gain: _Gain = None,
    out: _Out = Path("compare"),
    json: JsonOption = None,
) -> None:
    """Say which recipes differ by more than noise.

    Give two studies, several, or a table of runs (CSV, JSON lines, Parquet, files of trackers). Of two studies, the
    difference is the first minus the second; else it is each recipe minus the baseline. Runs of one seed are not
    independent, so seeds are counted, not runs; with the same seeds, recipes are compared pair by pair.

    Examples: `lastbit compare runs.csv --by recipe --metric acc --seed seed --within 0.3`,
    `lastbit compare runs/new runs/old --gain 0.3 --out runs/new-old`
    """
    from lastbit.statistics.power import check_size
    from lastbit.study.comparison.gains import gain_of

    if gain is not None:
        check_size(gain, "gain", what="a gain")
    check_free(out, Kind.COMPARISON)
    options: dict[str, Any] = {
        "by": _names(by),
        "seed": _names(seed),
        "task": task,
        "example": example,
        "cluster": cluster,
        "step": _step(step),
    }
    compared = _compared(runs, options, metric=metric, baseline=baseline, less=lower_is_better, within=within)
    content = compared.as_json() | {"gain": None if gain is None else gain_of(compared, gain)}
    if json != "-":
        _show(compared, content, console(json))
    page = _store(content, out)
    write_json(json, content)
    if json != "-":
        console(json).print(f"page: {page}", soft_wrap=True)


def _compared(
    runs: Sequence[str],
    options: Mapping[str, Any],
    *,
    metric: str | None,
    baseline: str | None,
    less: bool | None,
    within: float | None,
) -> Comparison | RecipesComparison:
    """Compare studies, of which those elsewhere are copied, or tables."""
    from lastbit.cli.progress import opened, progress_bar
    from lastbit.storage.url_copies import is_url
    from lastbit.study.comparison.compare import compare as compare_all
    from lastbit.study.comparison.compare import is_table_path

    given: dict[str, Any] = {"metric": metric, "baseline": baseline, "lower_is_better": less, "within": within}
    if all(not is_url(place) and is_table_path(Path(place)) for place in runs):
        with progress_bar("read", "bytes", transient=True) as show:
            return compare_all(*map(Path, runs), **given, **options, on_progress=lambda n, of: show(done=n, total=of))
    wrong = [f"--{name}" for name, value in options.items() if value not in (None, [], "last")]
    if wrong:
        raise LastbitError(f"{' and '.join(wrong)}: for tables of runs; {runs[0]} is none")
    with ExitStack() as stack:
        studies = [stack.enter_context(opened(place, wanted=_WANTED)) for place in runs]
        return compare_all(*studies, **given)


def _names(given: Sequence[str] | None) -> list[str] | None:
    """Columns as they are written after an option, given once or more often: `lr,optimizer`."""
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()] or None


def _step(step: str) -> str | int:
    return int(step) if step.isdecimal() else step


def _store(content: dict[str, Any], out: Path) -> Path:
    from lastbit.report.comparison import write_comparison  # only here: charts take a third of a second to import

    page = out / "compare.html"
    with writing(f"--out {out}"):
        write_output(out / "compare.json", to_json(content).encode())
        write_comparison(content, page)
    return page


def _show(compared: Comparison | RecipesComparison, content: dict[str, Any], terminal: Console) -> None:
    from lastbit.study.comparison import RecipesComparison

    if isinstance(compared, RecipesComparison):
        _show_many(content, terminal)
    else:
        _show_two(compared, content, terminal)
    if content["gain"] is not None:
        terminal.print(content["gain"]["sentence"])
    terminal.print()


def _show_two(comparison: Comparison, content: dict[str, Any], terminal: Console) -> None:
    from lastbit.report.comparison import difference_table, sides_table
    from lastbit.report.comparison.moves import moves_table

    label = comparison.label + (" in percent" if comparison.unit else "")
    terminal.print(f"{comparison.a.name} against {comparison.b.name}: {label}")
    terminal.print(sides_table(content).for_terminal())
    terminal.print(difference_table(content).for_terminal())
    if content["moves"] is not None:
        terminal.print(moves_table(content["moves"], new=comparison.a.name, old=comparison.b.name).for_terminal())
    terminal.print(comparison.verdict, style="bold")


def _show_many(content: dict[str, Any], terminal: Console) -> None:
    from lastbit.report.comparison import (
        differences_table,
        examples_tables,
        gain_tables,
        over_all_tables,
        recipes_table,
    )
    from lastbit.report.numbers import joined

    better = "lower" if content["lower_is_better"] else "higher"
    if len({task["lower_is_better"] for task in content["tasks"]}) > 1:
        less = [task["task"] for task in content["tasks"] if task["lower_is_better"]]
        better = f"lower on {joined(less)}, higher on the others"
    count = len(content["comparisons"])
    recipes = f"{count} recipe{'' if count == 1 else 's'}"
    terminal.print(f"{recipes} against {content['baseline']}: {content['metric']} ({better} is better)")
    terminal.print(recipes_table(content).for_terminal())
    for task in content["tasks"]:
        if not any(row["interval"] for row in task["comparisons"]):
            continue  # one run on each: there is nothing to say of this task alone
        terminal.print(f"on {task['task']}")
        terminal.print(differences_table(content, task).for_terminal())
    if content["tasks"] and not content["no_average"]:
        terminal.print(f"over tasks like these {len(content['tasks'])}")
    for table in (*over_all_tables(content), *examples_tables(content), *gain_tables(content)):
        terminal.print(table.for_terminal())
    for note in content["notes"]:
        terminal.print(note)
    terminal.print(content["verdict"], style="bold")
