"""Which convolutions of a network are trained, and with what weight decay and momentum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lastbit.errors import LastbitError
from lastbit.pde.momentum import Momentum


@dataclass(frozen=True, eq=False)
class LayerTraining:
    """A convolution, and the settings of gradient descent for which its stability is measured."""

    conv: nn.Conv2d
    weight_decay: float
    edge: float  # bound of lr * (curvature + weight_decay)


def plan_layers(
    model: nn.Module,
    *,
    weight_decay: float | None,
    momentum: float,
    nesterov: bool,
    optimizer: torch.optim.Optimizer | None,
    layers: Sequence[str] | None,
) -> dict[str, LayerTraining]:
    """Settings of each convolution to be measured, by name, in the network's order; see `layer_bounds`.

    Raises:
        LastbitError: a setting is out of range or given twice, a name is unknown, a layer cannot be measured, or
            none is left.
    """
    convolutions = _convolutions(model, layers)
    if optimizer is None:
        settings = _checked(0.0 if weight_decay is None else weight_decay, momentum, nesterov)
        plans = {name: LayerTraining(conv, *settings) for name, conv in convolutions.items()}
    else:
        if weight_decay is not None or momentum != 0 or nesterov:
            raise LastbitError(
                "give either weight_decay, momentum and nesterov or an optimizer that has them, not both"
            )
        plans = _plans_of(optimizer, convolutions, chosen=layers is not None)
    if not plans:
        raise LastbitError("no convolution to measure: the model holds no nn.Conv2d that is trained")
    for name, plan in plans.items():
        _check_measurable(name, plan.conv)
    return plans


def _convolutions(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Conv2d]:
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    if layers is None:
        return convolutions
    unknown = sorted(set(layers) - set(convolutions))
    if unknown:
        raise LastbitError(f"no nn.Conv2d is named {', '.join(unknown)}; there are {', '.join(convolutions) or 'none'}")
    return {name: conv for name, conv in convolutions.items() if name in layers}


def _plans_of(
    optimizer: torch.optim.Optimizer, convolutions: dict[str, nn.Conv2d], *, chosen: bool
) -> dict[str, LayerTraining]:
    """Settings of the layers that the optimizer steps."""
    if not isinstance(optimizer, torch.optim.SGD):
        raise LastbitError(f"optimizer is {type(optimizer).__name__}; these bounds hold for torch.optim.SGD")
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    missing = [name for name, conv in convolutions.items() if id(conv.weight) not in groups]
    if chosen and missing:
        raise LastbitError(f"the optimizer does not step {', '.join(missing)}; name layers that it steps")
    plans = {}
    for name, conv in convolutions.items():
        if name in missing:
            continue
        group = groups[id(conv.weight)]
        if group["dampening"] or group["maximize"]:
            raise LastbitError("the optimizer uses dampening or maximize; these bounds hold for SGD without them")
        plans[name] = LayerTraining(conv, *_checked(group["weight_decay"], group["momentum"], group["nesterov"]))
    return plans


def _checked(weight_decay: float, momentum: float, nesterov: bool) -> tuple[float, float]:
    """Weight decay and edge of a scheme (exact Jury bounds)."""
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise LastbitError(f"weight_decay is {weight_decay}; it must be finite and at least 0")
    return weight_decay, Momentum(momentum, nesterov).edge


def _check_measurable(name: str, conv: nn.Conv2d) -> None:
    """Refuse layers whose output is not a linear function of an ordinary weight."""
    if not isinstance(conv.weight, nn.Parameter) or isinstance(conv.weight, nn.UninitializedParameter):
        raise LastbitError(f"the weight of {name} is parametrized or not initialised; bounds hold for ordinary weights")
    if conv.weight.dtype not in (torch.float32, torch.float64):
        raise LastbitError(f"the weight of {name} is {conv.weight.dtype}; curvature needs float32 or float64")
    own = type(conv)
    if own.forward is not nn.Conv2d.forward or own._conv_forward is not nn.Conv2d._conv_forward:
        raise LastbitError(f"{name} is a {own.__name__} with its own forward pass; bounds hold for nn.Conv2d itself")
