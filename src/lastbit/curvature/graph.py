"""What the graph of a loss shows before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from lastbit.errors import LastbitError

# Torch 2.13's derivative of weight_norm's gradient in v is off by tens of percent, in double precision too.
_FAULTY = {"torch's weight_norm, whose second derivative is wrong": "WeightNormInterface"}


def nodes_of(loss: Tensor) -> Iterator[Any]:
    """The nodes of a loss's graph, each once."""
    seen: set[Any] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
        yield node


def refuse_reentrant(loss: Tensor) -> None:
    """Refuse activation checkpointing of the reentrant kind, whose blocks have no graph to differentiate.

    Raises:
        LastbitError: there is such a block.
    """
    if any("CheckpointFunction" in node.name() for node in nodes_of(loss)):
        raise LastbitError(
            "the model uses reentrant activation checkpointing, through which there are no second derivatives; "
            "checkpoint with use_reentrant=False, which trains to the same weights, or turn it off while measuring"
        )


def refuse_bypassed(loss: Tensor, own: Mapping[str, nn.Parameter], stepped: frozenset[nn.Parameter]) -> None:
    """Refuse a loss that depends on trained parameters other than by the model or itself being called.

    Args:
        loss: evaluated at copies of the parameters that are measured.
        own: those parameters themselves, by name.
        stepped: what the optimizer steps, where there is one.

    Raises:
        LastbitError: it does; that part of the curvature would be missing.
    """
    names = {parameter: name for name, parameter in own.items()}
    for node in nodes_of(loss):
        variable = getattr(node, "variable", None)
        if not isinstance(variable, nn.Parameter):
            continue
        if variable in names:
            raise LastbitError(
                f"the loss reads {names[variable]} past the model, as from a list of parameters made earlier, so that "
                "its part of the curvature would be missing; let the loss read model.parameters() when it is called"
            )
        if variable in stepped:
            raise LastbitError(
                f"the optimizer steps a parameter of shape {tuple(variable.shape)} that the loss depends on and that "
                "is in neither the model nor the loss, so that its part of the curvature would be missing; give the "
                "loss as an nn.Module that holds it"
            )


def custom_functions(loss: Tensor) -> list[str]:
    """Names of the functions in a loss's graph whose backward somebody wrote, or torch got wrong."""
    nodes = list(nodes_of(loss))
    names = {type(node).__name__.removesuffix("Backward") for node in nodes if isinstance(node, BackwardCFunction)}
    faulty = {known for known, name in _FAULTY.items() if any(node.name().startswith(name) for node in nodes)}
    return sorted(names) + sorted(faulty)
