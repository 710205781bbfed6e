"""Which parameters of a model an optimizer steps."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence

from torch import nn

from lastbit.curvature.edge import Edge, edge
from lastbit.curvature.parameters import chosen
from lastbit.errors import LastbitError
from lastbit.steps import Optimizer


def stepped(model: nn.Module, optimizer: Optimizer, patterns: str | Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, match one of the patterns, and are the optimizer's to step.

    Raises:
        LastbitTypeError: the model is no `nn.Module`.
        LastbitError: there are none.
    """
    owned = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    matching = chosen(model, patterns)
    found = {name: parameter for name, parameter in matching.items() if parameter in owned}
    if found:
        return found
    if owned.isdisjoint(model.parameters()):
        raise LastbitError(
            f"none of the optimizer's {len(owned)} parameters is the model's; give the model it was built for, and "
            "build the optimizer after the model has been copied, replaced or cast"
        )
    raise LastbitError(f"the optimizer steps none of the parameters that parameters={patterns!r} matches")


def exact_patterns(model: nn.Module, names: Iterable[str]) -> str | list[str]:
    """Glob patterns that match these names and no others; one star for all."""
    names = list(names)
    return "*" if names == list(chosen(model, "*")) else [glob.escape(name) for name in names]


def edges_of(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> tuple[Edge, ...]:
    """The edges of the groups that hold one of the parameters."""
    wanted = set(parameters)
    pairs = zip(edge(optimizer), optimizer.param_groups, strict=True)
    return tuple(bound for bound, group in pairs if not wanted.isdisjoint(group["params"]))
