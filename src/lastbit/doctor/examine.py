"""Everything that is looked at, in order."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lastbit.doctor.check import Check, Outcome
from lastbit.doctor.operations import check_operations, operations
from lastbit.doctor.surroundings import (
    check_cuda,
    check_data_sets,
    check_disk,
    check_extras,
    check_memory,
    check_remote,
)
from lastbit.doctor.trainings import Pool, Train, check_trainings
from lastbit.execution.numerics import Fingerprint, fingerprint, repeatable_numerics
from lastbit.execution.pool import local_pool
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining

FORMAT = 1
TRAININGS = 5


@dataclass(frozen=True)
class Examination:
    """What was found on this machine."""

    device: str
    fingerprint: Fingerprint  # of a study's trials here
    checks: list[Check]

    @property
    def fit(self) -> bool:
        """Whether nothing fails."""
        return all(check.outcome is not Outcome.FAILS for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        checks = [asdict(check) for check in self.checks]
        return {
            "format": FORMAT,
            "device": self.device,
            "fit": self.fit,
            "fingerprint": self.fingerprint,
            "checks": checks,
        }


def steps(device: str) -> int:
    """How many times `examine` calls `on_step`."""
    return TRAININGS + len(operations(device)) + 1


def examine(
    device: str,
    *,
    root: Path | None = None,
    train: Train | None = None,
    pool: Pool = local_pool,
    on_step: Callable[[], None] = lambda: None,
) -> Examination:
    """Look at this machine: about ten seconds on two cores.

    Args:
        device: to examine, such as `cpu` or `cuda`.
        root: folder of the fetched data sets; None for the cache.
        train: the training to repeat; None for the recipe `demo` at the scale `smoke`.
        pool: makes fresh processes.
        on_step: called `steps(device)` times.
    """
    training = train or RecipeTraining(load_recipe("demo", scale="smoke"), device=device)
    trained, found = check_trainings(training, device=device, pool=pool, on_check=on_step)
    repeated = check_operations(device, on_step)
    around = [
        check_data_sets(root),
        check_memory(),
        check_disk(Path.cwd()),
        check_cuda(),
        check_extras(),
        check_remote(),
    ]
    on_step()
    return Examination(device, found or _here(device), [*trained, *repeated, *around])


def _here(device: str) -> Fingerprint:
    with repeatable_numerics():
        return fingerprint(device)
