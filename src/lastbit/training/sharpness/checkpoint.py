"""Where a measured descent is, as tensors, so that an interrupted one goes on from its last row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.tensors import plain
from lastbit.training.descent import Descent
from lastbit.training.sharpness.measurement import Measurement

Tensors = dict[str, Tensor]


def checkpoint(descent: Descent, measurement: Measurement) -> Tensors:
    """Everything that decides how a descent goes on from the point in hand, by dotted names.

    The last gradients are part of it: they are what the next update takes.
    """
    slopes = {name: weight.grad for name, weight in descent.model.named_parameters() if weight.grad is not None}
    flow = measurement.flow.weights() if measurement.flow is not None else {}
    parts: dict[str, Mapping[str, Any]] = {
        "model": descent.model.state_dict(),
        "gradient": slopes,
        "optimizer": _optimizer_state(descent),
        "flow": flow,
    }
    tensors = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    # Losses are float64 here as they are in the descent, and so come back as the same numbers.
    tensors["losses"] = torch.tensor(descent.losses, dtype=torch.float64)
    tensors["rate"] = torch.tensor(descent.optimizer.param_groups[0]["lr"], dtype=torch.float64)
    return {name: plain(tensor) for name, tensor in tensors.items()}


def resume(tensors: Tensors, descent: Descent, measurement: Measurement) -> None:
    """Put a fresh descent and its measurement back where `checkpoint` left them."""
    descent.model.load_state_dict(_part(tensors, "model"))
    slopes = _part(tensors, "gradient")
    for name, weight in descent.model.named_parameters():
        weight.grad = slopes[name].to(weight)
    for name, tensor in _part(tensors, "optimizer").items():
        index, _, key = name.partition(".")
        owner = _parameters(descent)[int(index)]
        # Adam counts its steps on the CPU.
        descent.optimizer.state[owner][key] = tensor if tensor.dim() == 0 else tensor.to(owner)
    descent.take_up(tensors["losses"].tolist(), float(tensors["rate"]))
    if measurement.flow is not None:
        measurement.flow.take_up(_part(tensors, "flow"), descent.step)


def _optimizer_state(descent: Descent) -> dict[str, Tensor]:
    return {
        f"{index}.{key}": value
        for index, weight in enumerate(_parameters(descent))
        for key, value in descent.optimizer.state.get(weight, {}).items()
        if isinstance(value, Tensor)
    }


def _parameters(descent: Descent) -> list[nn.Parameter]:
    return [weight for group in descent.optimizer.param_groups for weight in group["params"]]


def _part(tensors: Tensors, part: str) -> Tensors:
    return {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
