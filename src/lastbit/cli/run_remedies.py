"""`lastbit run --remedy`: a script without and with remedies that are put on it from outside, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.cli.cost import Answers
from lastbit.cli.remedy_plan import folder_of
from lastbit.cli.remedy_result import finish
from lastbit.cli.script_runs import run_and_report
from lastbit.cli.workers import Executors
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free

if TYPE_CHECKING:
    from lastbit.remedies.given import Treatment
    from lastbit.script.training import ScriptTraining
    from lastbit.study import Study
    from lastbit.study.comparison.remedies import Treated


@dataclass(frozen=True)
class ScriptPart:
    """A script with a treatment, or with none, and its study."""

    name: str
    training: ScriptTraining
    study: Study


def script_parts(
    training: ScriptTraining, treatments: Sequence[Treatment], directory: Path, **options: Any
) -> list[ScriptPart]:
    """The script without remedies and with each treatment, each as a study in a folder of its own.

    Args:
        training: the script without remedies.
        treatments: as they were given.
        directory: of all studies.
        options: as `script_study` takes them.

    Raises:
        LastbitError: the directory holds something else, noises and seeds make no study, or a treatment takes the
            noise away.
    """
    from lastbit.remedies.given import hidden_by, label_of
    from lastbit.script.study import script_study
    from lastbit.study.comparison.remedies import BASELINE

    check_free(directory, Kind.STUDIES)
    for treatment in treatments:
        if reason := hidden_by(treatment, {noise.kind for noise in options["noises"]}):
            raise LastbitError(reason)
    parts = []
    for treatment in [(), *treatments]:
        name = label_of(treatment) or BASELINE
        treated = replace(training, remedies=treatment)
        parts.append(ScriptPart(name, treated, script_study(directory / folder_of(name), treated, **options)))
    return parts


def compare_parts(
    parts: Sequence[ScriptPart], directory: Path, executors: Executors, answers: Answers, json: str | None
) -> None:
    """Run what is not stored yet, and compare the script with each treatment to the script as it is.

    Raises:
        LastbitError: no run gave a metric; or as `run_and_report` and `finish` do.
        FailedError: as `run_and_report` does.
    """
    from lastbit.script.study import choose_metric

    for part in parts:
        answers.say(f"{part.study.name}: {part.name}")
        run_and_report(part.study, part.training, executors, answers, partial(choose_metric, part.study, part.training))
    if not parts[0].study.metric.name:
        raise LastbitError(
            "no run gave a metric by which runs without and with a remedy could be compared: give --metric or "
            f"--metric-file, or call lb.log. What ran is stored in {directory}, and is not run again"
        )
    finish(parts[0].study.name, [_treated(part) for part in parts], directory, within=None, json=json)


def _treated(part: ScriptPart) -> Treated:
    from lastbit.remedies.given import remedies_as_json
    from lastbit.script.study import remarks
    from lastbit.study.comparison.remedies import Treated

    results = part.study.results()
    part.study.store_results(results)
    said = tuple(remarks(part.study, part.training))
    return Treated(part.name, remedies_as_json(part.training.remedies), results, {}, None, said)
