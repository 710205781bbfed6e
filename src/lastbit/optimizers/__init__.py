"""Optimizers: one file for each family, with its step under a noise, its edge of stability and its preconditioner.

A family is a subclass of `Family`. lastbit discovers it in a file of this folder, in a module that a program has
imported, or through an entry point `lastbit.optimizers` of an installed package. `lb.perturb` then takes its optimizers
with `Scale`, `edge_of_stability` and `lb.SharpnessMonitor` know their edge, and recipes know their names.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastbit.optimizers.arguments import Arguments
    from lastbit.optimizers.edge import Edge, coupled_weight_decay, edge_of_stability, preconditioner
    from lastbit.optimizers.family import Family

__all__ = ["Arguments", "Edge", "Family", "coupled_weight_decay", "edge_of_stability", "preconditioner"]

_HOMES = {"Arguments": "arguments", "Family": "family"}  # of the others: edge


def __getattr__(name: str) -> object:
    """Import what is asked for: a recipe is read without torch."""
    if name in __all__:
        return getattr(import_module(f"lastbit.optimizers.{_HOMES.get(name, 'edge')}"), name)
    raise AttributeError(f"module 'lastbit.optimizers' has no attribute {name!r}")
