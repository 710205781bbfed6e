"""Which parameters of a model an optimizer steps."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence

from torch import nn

from lastbit.curvature.edge import Edge, edge
from lastbit.curvature.parameters import chosen, of_loss
from lastbit.errors import LastbitError
from lastbit.steps import Optimizer


def owned(optimizer: Optimizer) -> frozenset[nn.Parameter]:
    """All parameters that an optimizer steps."""
    return frozenset(parameter for group in optimizer.param_groups for parameter in group["params"])


def stepped(
    model: nn.Module, optimizer: Optimizer, patterns: str | Sequence[str], loss: object = None
) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, match one of the patterns, and are the optimizer's to step.

    A loss module's own are among them.

    Raises:
        LastbitTypeError: the model is no `nn.Module`.
        LastbitError: there are none.
    """
    its = owned(optimizer)
    matching = chosen(model, patterns, loss)
    found = {name: parameter for name, parameter in matching.items() if parameter in its}
    if its.isdisjoint(model.parameters()) and not its <= set(found.values()):
        raise LastbitError(
            f"none of the optimizer's {len(its)} parameters is the model's; give the model it was built for, and "
            "build the optimizer after the model has been copied, replaced or cast"
        )
    if found:
        return found
    raise LastbitError(f"the optimizer steps none of the parameters that parameters={patterns!r} matches")


def without_fixed_loss(
    model: nn.Module, loss: object, optimizer: Optimizer, patterns: str | Sequence[str]
) -> str | list[str]:
    """Patterns that leave out those parameters of a loss module that the optimizer does not step."""
    fixed = {name for name, parameter in of_loss(model, loss).items() if parameter not in owned(optimizer)}
    return exact_patterns(model, [name for name in chosen(model, patterns, loss) if name not in fixed], loss)


def exact_patterns(model: nn.Module, names: Iterable[str], loss: object = None) -> str | list[str]:
    """Glob patterns that match these names and no others; one star for all."""
    names = list(names)
    return "*" if names == list(chosen(model, "*", loss)) else [glob.escape(name) for name in names]


def edges_of(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> tuple[Edge, ...]:
    """The edges of the groups that hold one of the parameters."""
    wanted = set(parameters)
    pairs = zip(edge(optimizer), optimizer.param_groups, strict=True)
    return tuple(bound for bound, group in pairs if not wanted.isdisjoint(group["params"]))
