"""What a loss must be for its Hessian to be measured: deterministic, a mean over samples, differentiable twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from lastbit.errors import LastbitError

_TORCH_SAYS = ("inplace operation", "in-place operation", "not implemented", "once_differentiable")
# Torch 2.13's derivative of weight_norm's gradient in v is off by tens of percent, in double precision too.
_FAULTY = {"torch's weight_norm, whose second derivative is wrong": "WeightNormInterface"}


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Keep to operations that have a second derivative, and explain torch's errors about others in one line.

    Of the kernels of scaled dot-product attention only the plain one has a second derivative.

    Raises:
        LastbitError: an in-place operation broke the graph, or an operation has no second derivative.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if any(text in reason for text in _TORCH_SAYS):
            raise LastbitError(f"the loss cannot be differentiated twice: {reason}") from error
        raise


def refuse_once_differentiable(slopes: Iterable[Tensor]) -> None:
    """Refuse slopes whose graph ends in a function marked once differentiable.

    Torch marks it by a node that raises when it is run. A product never runs that node, for no weight lies beyond it,
    and would silently lack its part of the curvature.

    Raises:
        LastbitError: there is such a node.
    """
    if any(node.name() == "torch::autograd::Error" for node in _nodes(*slopes)):
        raise LastbitError("the loss cannot be differentiated twice: it calls a function marked @once_differentiable")


def refuse_reentrant(loss: Tensor) -> None:
    """Refuse activation checkpointing of the reentrant kind, whose blocks have no graph to differentiate.

    Raises:
        LastbitError: there is such a block.
    """
    if any("CheckpointFunction" in node.name() for node in _nodes(loss)):
        raise LastbitError(
            "the model uses reentrant activation checkpointing, through which there are no second derivatives; "
            "checkpoint with use_reentrant=False, which trains to the same weights, or turn it off while measuring"
        )


def refuse_bypassed(loss: Tensor, own: Mapping[str, nn.Parameter], stepped: frozenset[nn.Parameter]) -> None:
    """Refuse a loss that reads trained parameters other than through the model or the loss module.

    Args:
        loss: evaluated at copies of the measured parameters.
        own: those parameters themselves, by name.
        stepped: what the optimizer steps, where there is one.

    Raises:
        LastbitError: it does; that part of the curvature would be missing.
    """
    names = {parameter: name for name, parameter in own.items()}
    for node in _nodes(loss):
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
    nodes = list(_nodes(loss))
    names = {type(node).__name__.removesuffix("Backward") for node in nodes if isinstance(node, BackwardCFunction)}
    faulty = {known for known, name in _FAULTY.items() if any(node.name().startswith(name) for node in nodes)}
    return sorted(names) + sorted(faulty)


def _nodes(*outputs: Tensor) -> Iterator[Any]:
    """The nodes of a graph, once each."""
    seen: set[Any] = set()
    waiting = [output.grad_fn for output in outputs]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(following for following, _ in node.next_functions)
            yield node


@contextmanager
def calls_noted(modules: Iterable[nn.Module]) -> Iterator[list[nn.Module]]:
    """List the modules that are called within the block."""
    called: list[nn.Module] = []
    with ExitStack() as hooks:
        for module in modules:
            handle = module.register_forward_pre_hook(lambda module, _: called.append(module))
            hooks.callback(handle.remove)
        yield called


def refuse_batch_statistics(model: nn.Module, called: Iterable[nn.Module] = ()) -> None:
    """Refuse batch normalisation that uses the batch's own statistics: the loss is then no mean over samples.

    Instance normalisation couples no samples and is allowed.

    Args:
        model: the network.
        called: modules that an evaluation called, which may belong to other networks that the loss goes through.

    Raises:
        LastbitError: a module normalises by batch statistics.
    """
    names = _names(model)
    for module in (*names, *called):
        if not isinstance(module, _BatchNorm) or isinstance(module, _InstanceNorm):
            continue
        where = f"{names.get(module, 'in another network that the loss goes through')} ({type(module).__name__})"
        if module.training:
            raise LastbitError(
                f"{where} is in training mode and normalises by each batch's statistics, so the loss is no mean over "
                "samples; call model.eval() first, or freeze that module with its .eval()"
            )
        if module.running_mean is None:
            raise LastbitError(
                f"{where} keeps no running statistics and normalises by each batch's, so the loss is no mean over "
                "samples; build it with track_running_stats=True, or use GroupNorm or LayerNorm"
            )


def refuse_random(
    called: Iterable[nn.Module], model: nn.Module, before: Sequence[object], after: Sequence[object]
) -> None:
    """Refuse a forward pass that drew random numbers.

    Args:
        called: the modules that it called.
        model: the network.
        before: random states before it.
        after: random states after it.

    Raises:
        LastbitError: the states differ; the message names the modules in training mode that look responsible.
    """
    if before == after:
        return
    names = _names(model)
    others = {module: "in another network" for module in called if module not in names}
    suspects = [
        f"{name}: {type(module).__name__}"
        for module, name in {**names, **others}.items()
        if module.training and ("drop" in type(module).__name__.lower() or isinstance(module, nn.RReLU))
    ]
    listed = ", ".join(suspects) or "no module of the model is a dropout in training mode: look for functional calls"
    raise LastbitError(
        f"the loss draws random numbers ({listed}), so its curvature is not one number; call "
        "model.eval() first, or freeze those modules alone with their .eval()"
    )


def refuse_different(first: Tensor, second: Tensor) -> None:
    """Refuse a gradient that is not the same bit for bit when computed twice.

    Raises:
        LastbitError: the gradients differ in some bit.
    """
    if torch.equal(first.view(torch.uint8), second.view(torch.uint8)):
        return
    distance = float((first - second).norm() / first.norm())
    raise LastbitError(
        f"the gradient computed twice on the same data differs (relative distance {distance:.1e}), so products would "
        "not be those of one matrix; see torch.use_deterministic_algorithms(True)"
    )


def _names(model: nn.Module) -> dict[nn.Module, str]:
    return {module: name or "the model" for name, module in model.named_modules()}
