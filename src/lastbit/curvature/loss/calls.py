"""How a model and a loss are called with a batch, and the errors where they cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from lastbit.curvature.loss.nests import described
from lastbit.errors import LastbitError, LastbitTypeError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class CallError(LastbitTypeError):
    """The model or the loss fails at the batch that it is called with."""


def bare(model: nn.Module) -> tuple[nn.Module, str]:
    """The network inside wrappers that spread it over devices, and the prefix that they give its names.

    A wrapper's forward splits batches or talks to other processes, and cannot be evaluated at other weights.
    """
    prefix = ""
    while isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model, prefix = model.module, f"{prefix}module."
    return model, prefix


def arguments(model: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a model's forward is called with.

    The inputs are one argument, with two exceptions. A mapping is passed by keyword where its keys are names of the
    forward's parameters, or those have no names. A tuple or list is spread where the forward takes as many arguments
    and cannot be called with one.
    """
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return (inputs,), {}
    if isinstance(inputs, Mapping) and _by_keyword(signature, inputs):
        return (), dict(inputs)
    if isinstance(inputs, tuple | list) and not _takes(signature, (inputs,)) and _takes(signature, tuple(inputs)):
        return tuple(inputs), {}
    return (inputs,), {}


def _by_keyword(signature: inspect.Signature, inputs: Mapping[Any, Any]) -> bool:
    named = {name for name, parameter in signature.parameters.items() if parameter.kind in _NAMED}
    positional = any(parameter.kind in _POSITIONAL for parameter in signature.parameters.values())
    spread = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    if spread:
        return not positional or not named.isdisjoint(inputs)
    return bool(inputs) and named.issuperset(inputs)


def _takes(signature: inspect.Signature, values: tuple[Any, ...]) -> bool:
    try:
        signature.bind(*values)
    except TypeError:
        return False
    return True


@contextmanager
def model_called(inputs: Any) -> Iterator[None]:
    """Explain in one line that the model cannot be called with these inputs.

    Raises:
        CallError: it raised one of the errors that wrong arguments cause.
    """
    with _explained("model(inputs)", f"inputs is {described(inputs)}; {_other_batches(inputs)}"):
        yield


@contextmanager
def loss_called(model: nn.Module, outputs: Any, targets: Any) -> Iterator[None]:
    """Explain in one line that the loss cannot be called with these outputs and targets.

    Raises:
        CallError: it raised one of the errors that wrong arguments cause.
    """
    mode = "training" if model.training else "evaluation"
    own = "; write the loss as lambda outputs, batch: outputs.loss" if hasattr(outputs, "loss") else ""
    with _explained(
        "loss(outputs, targets)",
        f"in {mode} mode the model returns {described(outputs)}, and targets is {described(targets)}{own}",
    ):
        yield


def _other_batches(inputs: Any) -> str:
    """The batches to give where the model does not take these inputs."""
    if isinstance(inputs, Mapping):
        first, last = next(iter(inputs), "x"), list(inputs or "y")[-1]
        return f"give pairs, as in [(batch[{first!r}], batch[{last!r}]) for batch in loader]"
    if isinstance(inputs, tuple | list):
        return "a tuple is one batch, an (inputs, targets) pair; give several batches in a list"
    return "give batches whose first entry is what the model takes, or wrap the model in a module that takes it apart"


@contextmanager
def _explained(call: str, explanation: str) -> Iterator[None]:
    try:
        yield
    except LastbitError:
        raise
    except (TypeError, AttributeError, ValueError, LookupError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise CallError(f"{call} raises {type(error).__name__} ({first}): {explanation}") from error
