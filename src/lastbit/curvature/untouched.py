"""Evaluating a model without leaving a trace in it or in torch's random states, and refusing models that draw."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as _modules

from lastbit.curvature.state import State
from lastbit.errors import LastbitError
from lastbit.precision import exact_products

# Every batch normalisation, instance normalisation aside: that one couples no samples.
_BatchNorm = torch.nn.modules.batchnorm._BatchNorm
_InstanceNorm = torch.nn.modules.instancenorm._InstanceNorm

# What the blocks that are open remember, outermost first.
_OUTER: list[State] = []


@contextmanager
def undisturbed(*roots: object, whole: bool = False) -> Iterator[State]:
    """Put back at the end what the roots reach and every random state; in between gradients are on.

    Products are exact and repeatable meanwhile. Blocks may be nested: what an outer one remembers already is put back
    at the end of the inner one too, so that evaluations follow each other from the same state.

    Args:
        roots: a model, a loss, tensors, a data set: what is about to be evaluated or read.
        whole: see `State`.

    Raises:
        LastbitError: something has changed that cannot be put back.
    """
    state = _state(roots, whole)
    devices = sorted((device for device in state.devices if device.type not in ("cpu", "meta")), key=str)
    kind = devices[0].type if devices else "cuda"
    with torch.random.fork_rng(devices, device_type=kind), _other_random_states(), torch.enable_grad():
        _OUTER.append(state)
        try:
            with exact_products():
                yield state
        except BaseException:
            with suppress(LastbitError):
                state.restore()
            raise
        else:
            state.restore()
        finally:
            _OUTER.remove(state)


def as_read(source: object) -> State:
    """What a data set reaches, remembered once in the outermost open block however often it is read there."""
    if not _OUTER:
        return State(source, whole=True)
    passes = _OUTER[0].passes
    if id(source) not in passes:
        passes[id(source)] = State(source, whole=True)  # keeps the source alive, so that its id is its own
    return passes[id(source)]


def _state(roots: Sequence[object], whole: bool) -> State:
    """What the roots reach: an open block's state where it has met them all, else one of what that lacks beside it."""
    known = [(sum(map(outer.covers, roots)), outer) for outer in _OUTER if outer.whole >= whole]
    met, outer = max(known, key=lambda pair: pair[0], default=(0, None))
    if outer is None or not met:
        return State(*roots, *_global_hooks(), whole=whole)
    return outer if met == len(roots) else State(*roots, whole=whole, outer=outer)


def _global_hooks() -> list[object]:
    """The hooks that are called with every module."""
    return [value for name, value in vars(_modules).items() if name.startswith("_global_") and isinstance(value, dict)]


@contextmanager
def _other_random_states() -> Iterator[None]:
    """Put back the random states of Python and numpy."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def random_states(state: State) -> list[object]:
    """States of all generators that an evaluation may draw from: torch's, Python's, numpy's, and those it reaches."""
    devices = [device for device in state.devices if device.type not in ("cpu", "meta")]
    torch_states = [
        torch.get_rng_state(),
        *(torch.get_device_module(device).get_rng_state(device) for device in devices),
    ]
    others = repr((random.getstate(), np.random.get_state()))  # noqa: NPY002
    return [*(one.numpy().tobytes() for one in torch_states), others, *state.generators()]


@contextmanager
def calls_noted(modules: Iterable[nn.Module]) -> Iterator[list[nn.Module]]:
    """Which of the modules are called within the block."""
    called: list[nn.Module] = []
    with ExitStack() as hooks:
        for module in modules:
            handle = module.register_forward_pre_hook(lambda module, _: called.append(module))
            hooks.callback(handle.remove)
        yield called


def refuse_batch_statistics(model: nn.Module, called: Iterable[nn.Module] = ()) -> None:
    """Refuse batch normalisation that uses the batch's own statistics: the loss is then no mean over samples.

    Args:
        model: the network.
        called: modules that an evaluation called, among them those of other networks that the loss goes through.

    Raises:
        LastbitError: a module normalises by batch statistics.
    """
    own = {module: name or "the model" for name, module in model.named_modules()}
    for module in (*own, *called):
        if not isinstance(module, _BatchNorm) or isinstance(module, _InstanceNorm):
            continue
        where = f"{own.get(module, 'in another network that the loss goes through')} ({type(module).__name__})"
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
    """Refuse a forward pass that moved the random states.

    Raises:
        LastbitError: the states differ.
    """
    if before == after:
        return
    raise LastbitError(
        f"the loss draws random numbers ({_random_layers(model, called)}), so its curvature is not one number; call "
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


def _random_layers(model: nn.Module, called: Iterable[nn.Module]) -> str:
    """Names of the modules in training mode that look responsible, or where to look."""
    own = {module: name or "the model" for name, module in model.named_modules()}
    others = {module: "in another network" for module in called if module not in own}
    names = [
        f"{name}: {type(module).__name__}"
        for module, name in {**own, **others}.items()
        if module.training and ("drop" in type(module).__name__.lower() or isinstance(module, nn.RReLU))
    ]
    return ", ".join(names) or "no module of the model is a dropout in training mode: look for functional calls"
