"""How a model and a loss are called with a batch, and the errors where they do not take it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.samples import described

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


# Parts of the messages of torch's RuntimeErrors about tensors of the wrong shape or type.
_OF_SHAPES_AND_TYPES = ("shape", "size", "dimension", "channels", "type", "not implemented for '", "tensor expected")


class CallError(LastbitTypeError):
    """The model or the loss fails at the batch that it is called with."""


class SwappedError(CallError):
    """The two parts of a batch, or the two arguments of a loss, have changed places."""


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


def outputs_of(model: Callable[[Any], Any], inputs: Any, targets: Any) -> Any:
    """The model's outputs at the inputs of a batch.

    Args:
        model: calls the network with inputs.
        inputs: of the batch.
        targets: of the batch, to tell whether the two have changed places.

    Raises:
        SwappedError: the model takes the targets and does not take the inputs.
        CallError: it raises one of the errors that wrong arguments cause.
    """
    try:
        return model(inputs)
    except Exception as error:
        if not _by_arguments(error):
            raise
        raised = f"model(inputs) raises {_shown(error)}, where inputs is {described(inputs)}"
        if targets is not inputs and _result(model, targets) is not None:
            raise SwappedError(
                f"give each batch as (inputs, targets): the model takes the second part of this one, and {raised}"
            ) from error
        raise CallError(f"{_other_batches(inputs)}; {raised}") from error


def loss_of_call(loss: Callable[[Any, Any], Any], outputs: Any, targets: Any, *, training: bool) -> Any:
    """What a loss returns for the outputs of a model and the targets of a batch.

    Args:
        loss: to be called as loss(outputs, targets).
        outputs: of the model.
        targets: of the batch.
        training: whether the model is in training mode, for the message.

    Raises:
        SwappedError: the loss takes the targets first and the outputs second.
        CallError: it raises one of the errors that wrong arguments cause.
    """
    try:
        return loss(outputs, targets)
    except Exception as error:
        if not _by_arguments(error):
            raise
        raised = (
            f"loss(outputs, targets) raises {_shown(error)}, where in {'training' if training else 'evaluation'} mode "
            f"the model returns {described(outputs)}, and targets is {described(targets)}"
        )
        swapped = _result(loss, targets, outputs)
        if isinstance(swapped, Tensor) and swapped.numel() == 1:
            raise SwappedError(
                "swap the arguments of the loss, as in lambda outputs, targets: loss(targets, outputs): it takes the "
                f"targets first, and {raised}"
            ) from error
        if getattr(outputs, "loss", None) is not None:
            raise CallError(f"write the loss as lambda outputs, batch: outputs.loss; {raised}") from error
        raise CallError(f"give a loss that takes what the model returns, and targets that fit; {raised}") from error


def _by_arguments(error: Exception) -> bool:
    """Whether an error is of a kind that wrong arguments cause."""
    if isinstance(error, LastbitError | torch.OutOfMemoryError):
        return False
    if isinstance(error, RuntimeError):
        return any(text in str(error) for text in _OF_SHAPES_AND_TYPES)
    return isinstance(error, TypeError | AttributeError | ValueError | LookupError)


def _shown(error: Exception) -> str:
    return f"{type(error).__name__} ({(str(error).splitlines() or [''])[0]})"


def _result(call: Callable[..., Any], *values: Any) -> Any:
    """What a call returns; None where it fails."""
    try:
        with torch.no_grad():
            return call(*values)
    except Exception:
        return None


def _other_batches(inputs: Any) -> str:
    """The batches to give where the model does not take these inputs."""
    if isinstance(inputs, Mapping):
        first, last = next(iter(inputs), "x"), list(inputs or "y")[-1]
        return f"give pairs, as in [(batch[{first!r}], batch[{last!r}]) for batch in loader]"
    if isinstance(inputs, tuple | list):
        return "give several batches in a list, since a tuple is one batch, an (inputs, targets) pair"
    return "give batches whose first part is what the model takes, in shape and type"
