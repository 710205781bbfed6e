"""Evaluating a model without leaving a trace in it or in torch's random states, and refusing models that draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.precision import exact_products

# Every batch normalisation, instance normalisation aside: that one couples no samples.
_BatchNorm = torch.nn.modules.batchnorm._BatchNorm
_InstanceNorm = torch.nn.modules.instancenorm._InstanceNorm


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[list[torch.device]]:
    """Put torch's random states back at the end; in between gradients are on, and products exact and repeatable."""
    devices = sorted({p.device for p in model.parameters() if p.device.type not in ("cpu", "meta")}, key=str)
    kind = devices[0].type if devices else "cuda"
    with torch.random.fork_rng(devices, device_type=kind), torch.enable_grad(), exact_products():
        yield devices


def random_states(devices: Sequence[torch.device]) -> list[Tensor]:
    """States of torch's default generators, on the processor and on the devices."""
    return [torch.get_rng_state(), *(torch.get_device_module(device).get_rng_state(device) for device in devices)]


def refuse_batch_statistics(model: nn.Module) -> None:
    """Refuse batch normalisation that uses the batch's own statistics: the loss is then no mean over samples.

    Raises:
        LastbitError: a module normalises by batch statistics.
    """
    for name, module in model.named_modules():
        if not isinstance(module, _BatchNorm) or isinstance(module, _InstanceNorm):
            continue
        where = f"{name or 'the model'} ({type(module).__name__})"
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


def refuse_random(model: nn.Module, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
    """Refuse a forward pass that moved the random states.

    Raises:
        LastbitError: the states differ.
    """
    if all(map(torch.equal, before, after)):
        return
    raise LastbitError(
        f"the loss draws random numbers ({_random_layers(model)}), so its curvature is not one number; call "
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
        f"the gradient computed twice differs (relative distance {distance:.1e}), so products would not be those of "
        "one matrix; give data without random augmentation, and see torch.use_deterministic_algorithms(True)"
    )


def _random_layers(model: nn.Module) -> str:
    """Names of the modules in training mode that look responsible, or where to look."""
    names = [
        f"{name or 'the model'}: {type(module).__name__}"
        for name, module in model.named_modules()
        if module.training and ("drop" in type(module).__name__.lower() or isinstance(module, nn.RReLU))
    ]
    return ", ".join(names) or "no module of the model is a dropout in training mode: look for functional calls"
