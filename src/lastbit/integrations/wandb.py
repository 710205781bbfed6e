"""Measurements in Weights & Biases."""

from typing import Any

from lastbit.curvature import SharpnessRow
from lastbit.errors import LastbitError
from lastbit.machine import missing


class WandB:
    """A sink that logs each row's scalars, and its note, as `sharpness/...`, drawn against `sharpness/step`.

    The rows bring their own axis, so they disturb no `step=` of the run's other metrics.

    Args:
        run: what `wandb.init()` returned; by default the run that is active.

    Raises:
        ModuleNotFoundError: wandb is not installed.
        LastbitError: no run is given and none is active.
    """

    def __init__(self, run: Any = None) -> None:
        self._run: Any = _active() if run is None else run
        self._run.define_metric("sharpness/*", step_metric="sharpness/step")

    def __call__(self, row: SharpnessRow) -> None:
        """Log a row; a diverged one shows as NaN."""
        scalars = {"step": row.step} | row.scalars() | ({"note": row.note} if row.note else {})
        self._run.log({f"sharpness/{name}": value for name, value in scalars.items()})


def _active() -> Any:
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise missing(error, "wandb") from None
    if wandb.run is None:
        raise LastbitError("no W&B run is active; call wandb.init() first, or give WandB(run) what it returned")
    return wandb.run
