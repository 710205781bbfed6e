"""How far the last bit of floating-point arithmetic carries into neural-network training, and why."""

from importlib import import_module
from typing import TYPE_CHECKING

from lastbit.noise import Scale, perturb
from lastbit.schedules import every, log_spaced

if TYPE_CHECKING:
    from lastbit import curvature, divergence, noise, pde
    from lastbit.curvature import HessianOperator, SharpnessTracker, edge
    from lastbit.study import Study, local_pool

__all__ = [
    "HessianOperator",
    "Scale",
    "SharpnessTracker",
    "Study",
    "curvature",
    "divergence",
    "edge",
    "every",
    "local_pool",
    "log_spaced",
    "noise",
    "pde",
    "perturb",
]

# Rooms that need more than torch are imported when first used, so that `import lastbit` costs little beside torch.
_HOMES = {
    "HessianOperator": "lastbit.curvature",
    "SharpnessTracker": "lastbit.curvature",
    "Study": "lastbit.study",
    "edge": "lastbit.curvature",
    "local_pool": "lastbit.study",
}
_ROOMS = frozenset({"curvature", "divergence", "noise", "pde"})


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return import_module(f"lastbit.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lastbit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
