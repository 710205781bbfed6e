"""The state of a measured descent as tensors in a file, from which an interrupted one continues at its last row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.storage.files import write_atomically
from lastbit.storage.limits import MOST_TENSORS, read_limited
from lastbit.tensors import plain
from lastbit.training.data.catalogue import first_line
from lastbit.training.descent import Descent
from lastbit.training.sharpness.measurement import Measurement


def write_descent(path: Path, descent: Descent, measurement: Measurement) -> None:
    """Write all that decides how a descent continues from the present point, in place of an earlier checkpoint.

    The last gradients are part of it: the next update uses them.
    """
    parts: dict[str, Mapping[str, Any]] = {
        "model": descent.model.state_dict(),
        "gradient": {name: w.grad for name, w in descent.model.named_parameters() if w.grad is not None},
        "optimizer": _optimizer_state(descent),
        "flow": {} if measurement.flow is None else measurement.flow.weights(),
        "central": {} if measurement.central is None else measurement.central.weights(),
    }
    tensors = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    # Losses are float64 here as they are in the descent, and so come back as the same numbers.
    tensors["losses"] = torch.tensor(descent.losses, dtype=torch.float64)
    tensors["rate"] = torch.tensor(descent.optimizer.param_groups[0]["lr"], dtype=torch.float64)
    write_atomically(path, save({name: plain(tensor) for name, tensor in tensors.items()}))


def resume(path: Path, descent: Descent, measurement: Measurement) -> None:
    """Bring a fresh descent and its measurement to the state that `write_descent` stored, if it has stored one.

    Raises:
        LastbitError: the file holds no tensors, or those of another training.
    """
    if not path.exists():
        return
    try:
        tensors = load(read_limited(path, MOST_TENSORS))
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise LastbitError(f"{path} holds no tensors ({error}): it was altered or cut short") from None
    try:
        _resume(tensors, descent, measurement)
    except (LookupError, RuntimeError, ValueError, TypeError) as error:
        raise LastbitError(
            f"{path} holds the state of another training ({first_line(error)}): it was altered; delete its directory "
            "and give the command again"
        ) from error


def _resume(tensors: Mapping[str, Tensor], descent: Descent, measurement: Measurement) -> None:
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
        measurement.flow.resume(_part(tensors, "flow"), descent.step)
    if measurement.central is not None:
        measurement.central.resume(_part(tensors, "central"), descent.step)


def _optimizer_state(descent: Descent) -> dict[str, Tensor]:
    return {
        f"{index}.{key}": value
        for index, weight in enumerate(_parameters(descent))
        for key, value in descent.optimizer.state.get(weight, {}).items()
        if isinstance(value, Tensor)
    }


def _parameters(descent: Descent) -> list[nn.Parameter]:
    return [weight for group in descent.optimizer.param_groups for weight in group["params"]]


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
