"""What `lastbit remedy` is to run: the recipe without and with each treatment, each a study; and what runs took."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError
from lastbit.storage.files import read_json, to_json, write_atomically

if TYPE_CHECKING:
    from lastbit.execution.jobs import Outcome
    from lastbit.remedies.given import Treatment
    from lastbit.study import Study, Trial
    from lastbit.training.recipe import Recipe
    from lastbit.training.recipe_training import RecipeTraining
    from lastbit.training.task import Task


@dataclass(frozen=True)
class RemedyPart:
    """A treatment of the recipe, and its study."""

    name: str
    treatment: Treatment
    training: RecipeTraining
    memory: int | None
    notes: tuple[str, ...]
    study: Study


def folder_of(treatment: str) -> str:
    """The name of the folder of a treatment's study."""
    return re.sub(r"[^\w.=+-]", "-", treatment)


class Costs:
    """What trials took, by their ids, in a file beside the studies: no two runs take the same, so no trial holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = read_json(path) if path.is_file() else {}
        content = stored if isinstance(stored, dict) else {}
        self.seconds = {
            name: float(took) for name, took in content.items() if isinstance(took, int | float) and took > 0
        }

    def note(self, outcome: Outcome[Trial], device: str) -> None:
        """Keep what a trial took: core-seconds, or seconds where a GPU computes."""
        took = outcome.seconds if device.startswith("cuda") else outcome.core_seconds
        if took > 0:
            self.seconds[outcome.trial.id] = took
            write_atomically(self.path, to_json(self.seconds, indent=1).encode())


def planned_parts(
    chosen: Recipe,
    remedies: str | None,
    directory: Path,
    *,
    device: str,
    root: Path | None,
    is_here: bool,
    **options: Any,
) -> list[RemedyPart]:
    """The baseline and the treatments, each as a study in a folder of its own.

    Treatments that find nothing to change, or that take the noise away, are left out, with a line.

    Args:
        chosen: the recipe.
        remedies: as given; None for each that there is.
        directory: of all studies.
        device: where it trains.
        root: folder of the data sets.
        is_here: whether the data are on this machine, so that memory can be measured.
        options: as `Study` takes them.

    Raises:
        LastbitError: a remedy that is not allowed, none is left, or noises and seeds make no study.
    """
    import torch

    from lastbit.remedies.given import hidden_by, label_of, parse_treatments
    from lastbit.study import Study
    from lastbit.study.comparison.remedies import BASELINE
    from lastbit.training.recipe_training import RecipeTraining
    from lastbit.training.task import prepare

    given = None if remedies is None else parse_treatments(remedies)  # before data are loaded
    task = prepare(chosen, device=torch.device(device), root=root) if is_here else None
    kinds = {noise.kind for noise in options["noises"]}
    parts, left_out = [], []
    for treatment in [(), *(_usual_treatments(chosen, task) if given is None else given)]:
        name, recipe = label_of(treatment) or BASELINE, _treated(chosen, treatment)
        reason = hidden_by(treatment, kinds)
        memory, notes = (None, []) if reason else _tried(recipe, task)
        if reason or (treatment and notes):
            left_out.append(f"left out: {name}: {reason or notes[0]}")
            continue
        training = RecipeTraining(recipe, device, root)
        study = Study(directory / folder_of(name), training, **options)
        parts.append(RemedyPart(name, treatment, training, memory, tuple(notes), study))
    if len(parts) < 2:
        raise LastbitError(f"no remedy is left to be measured: {'; '.join(left_out)}")
    baseline, *others = parts
    return [replace(baseline, notes=(*baseline.notes, *left_out)), *others]


def _usual_treatments(chosen: Recipe, task: Task | None) -> list[Treatment]:
    """Each remedy that there is, as it is usually put on a training of so many steps."""
    from lastbit.remedies.remedy import REMEDIES

    steps = chosen.epochs * (task.steps_per_epoch if task is not None else 100)
    return [(kind.usual(steps),) for kind in sorted(REMEDIES.all(), key=lambda kind: kind.name)]


def _treated(chosen: Recipe, treatment: Treatment) -> Recipe:
    """The recipe with a treatment, which takes the place of its own remedies of the same names."""
    from lastbit.remedies.given import remedies_as_json, remedies_from_json, together

    replaced = {remedy.name for remedy in treatment}
    kept = [remedy for remedy in remedies_from_json(chosen.remedy) if remedy.name not in replaced]
    return chosen.model_copy(update={"remedy": remedies_as_json(together([*treatment, *kept]))})


def _tried(recipe: Recipe, task: Task | None) -> tuple[int | None, list[str]]:
    """The memory that a training takes, and what its remedies say of the recipe."""
    if task is None:
        return None, []
    from lastbit.training.memory import training_memory

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        memory = training_memory(recipe, task)
    return memory, list(dict.fromkeys(str(each.message) for each in said if each.category is UserWarning))
