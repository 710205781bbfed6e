"""How far the last bit of floating-point arithmetic carries into neural-network training, and why."""

from importlib import import_module
from typing import TYPE_CHECKING

from lastbit.noise import Scale, perturb

if TYPE_CHECKING:
    from lastbit import divergence, noise, pde
    from lastbit.study import Study, local_pool

__all__ = ["Scale", "Study", "divergence", "local_pool", "noise", "pde", "perturb"]

# Rooms that need more than torch are imported when first used, so that `import lastbit` costs little beside torch.
_LATER = {"Study": "lastbit.study", "local_pool": "lastbit.study", "divergence": "", "noise": "", "pde": ""}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'lastbit' has no attribute {name!r}")
    home = _LATER[name]
    return getattr(import_module(home), name) if home else import_module(f"lastbit.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
