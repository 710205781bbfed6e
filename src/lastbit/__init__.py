"""How far the last bit of floating-point arithmetic carries into neural-network training, and why."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastbit import curvature, divergence, noise, optimizers, pde, remedies
    from lastbit.curvature import BatchSharpness, CriticalSharpness, HessianOperator, SharpnessMonitor, SharpnessTracker
    from lastbit.errors import LastbitError
    from lastbit.execution.pool import local_pool
    from lastbit.noise import Operations, Order, Rounding, Scale, Ulp, perturb
    from lastbit.optimizers import edge_of_stability
    from lastbit.schedules import every, log_spaced
    from lastbit.script.log import log, log_predictions
    from lastbit.study import Study
    from lastbit.study.comparison import compare
    from lastbit.study.metric import Metric
    from lastbit.study.open_study import open_study

    __version__: str

__all__ = [
    "BatchSharpness",
    "CriticalSharpness",
    "HessianOperator",
    "LastbitError",
    "Metric",
    "Operations",
    "Order",
    "Rounding",
    "Scale",
    "SharpnessMonitor",
    "SharpnessTracker",
    "Study",
    "Ulp",
    "__version__",
    "compare",
    "curvature",
    "divergence",
    "edge_of_stability",
    "every",
    "local_pool",
    "log",
    "log_predictions",
    "log_spaced",
    "noise",
    "open_study",
    "optimizers",
    "pde",
    "perturb",
    "remedies",
]

# Imported when first used: `import lastbit` costs a script nothing, not even torch, which reads environment variables
# that the script may still want to set.
_HOMES = {
    "BatchSharpness": "lastbit.curvature",
    "CriticalSharpness": "lastbit.curvature",
    "HessianOperator": "lastbit.curvature",
    "LastbitError": "lastbit.errors",
    "Metric": "lastbit.study.metric",
    "Operations": "lastbit.noise",
    "Order": "lastbit.noise",
    "Rounding": "lastbit.noise",
    "Scale": "lastbit.noise",
    "SharpnessMonitor": "lastbit.curvature",
    "SharpnessTracker": "lastbit.curvature",
    "Study": "lastbit.study",
    "Ulp": "lastbit.noise",
    "compare": "lastbit.study.comparison",
    "edge_of_stability": "lastbit.optimizers",
    "every": "lastbit.schedules",
    "local_pool": "lastbit.execution.pool",
    "log": "lastbit.script.log",
    "log_predictions": "lastbit.script.log",
    "log_spaced": "lastbit.schedules",
    "open_study": "lastbit.study.open_study",
    "perturb": "lastbit.noise",
}
_ROOMS = frozenset({"curvature", "divergence", "noise", "optimizers", "pde", "remedies"})


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("lastbit")
    if name in _ROOMS:
        return import_module(f"lastbit.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lastbit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
