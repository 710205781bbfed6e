"""Checkpoints of a trial in progress: a nest of tensors and plain values, whole or absent, read without running code.

checkpoint/STEP.safetensors   the tensors, numbered
checkpoint/state.json         checksummed; the nest with the numbers of its tensors, and a checksum of their file.
                              Written after the tensors, so that it never points at something that is not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lastbit.errors import LastbitTypeError
from lastbit.storage.files import (
    DamagedError,
    read_checksummed,
    sha256,
    sync_directory,
    write_atomically,
    write_checksummed,
)
from lastbit.storage.limits import MOST_TENSORS, read_limited
from lastbit.tensors import plain

DIRECTORY = "checkpoint"
_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after some number of updates."""

    step: int
    state: Any  # a nest of dict, list, tuple, tensors, numbers, texts and None, as it was given


def write_checkpoint(place: Path, step: int, state: Any, *, extra: Mapping[str, Any]) -> None:
    """Replace the checkpoint in a directory by another.

    Args:
        place: the directory, made if it is not there.
        step: updates so far.
        state: a nest of dict, list, tuple, tensors, numbers, texts and None.
        extra: plain JSON to be given back beside it.

    Raises:
        LastbitTypeError: something else is in the nest.
    """
    tensors: list[Tensor] = []
    nest = _pack(state, tensors)
    name = f"{step:09d}.safetensors"
    content = save({str(number): plain(tensor) for number, tensor in enumerate(tensors)})
    write_atomically(place / name, content)
    checkpoint = {"step": step, "state": nest, "file": name, "sha256": sha256(content), "extra": dict(extra)}
    write_checksummed(place / _STATE, checkpoint)
    for old in place.glob("*.safetensors"):
        if old.name != name:
            old.unlink()


def read_checkpoint(place: Path) -> tuple[Checkpoint, Mapping[str, Any]] | None:
    """The checkpoint in a directory and what was given beside it; None where there is none.

    Raises:
        DamagedError: it is not what was written.
    """
    if not (place / _STATE).is_file():
        return None
    stored = read_checksummed(place / _STATE)
    path = place / Path(str(stored.get("file"))).name
    content = read_limited(path, MOST_TENSORS) if path.is_file() else b""
    if sha256(content) != stored.get("sha256"):
        raise DamagedError(f"{path} does not match its checksum: it was altered, cut short or lost")
    try:
        return Checkpoint(stored["step"], _unpack(stored["state"], load(content))), stored["extra"]
    except (SafetensorError, LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise DamagedError(f"{place / _STATE} does not hold a checkpoint ({error!r}): it was altered") from None


def sync_files(directory: Path) -> None:
    """Make all files below a directory durable, so that a checkpoint never knows more than the disk."""
    for file in directory.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        else:
            sync_directory(file)


def _pack(value: Any, tensors: list[Tensor]) -> Any:
    """Plain JSON for a nest; tensors are appended to the list and stand for their place in it."""
    if isinstance(value, Tensor):
        tensors.append(value)
        # Other strides may take other kernels, and these round otherwise.
        return {"tensor": len(tensors) - 1, "strides": list(value.stride())}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    if isinstance(value, float):
        return {"float": value.hex()}  # exact, and JSON has no infinity
    if value is None or isinstance(value, bool | int | str):
        return value
    raise LastbitTypeError(f"a checkpoint holds tensors and plain values, not {type(value).__name__}")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        stored = tensors[str(value["tensor"])]
        return torch.empty_strided(stored.shape, value["strides"], dtype=stored.dtype).copy_(stored)
    if "float" in value:
        return float.fromhex(value["float"])
    if "dict" in value:
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in value["dict"]}
    kind = tuple if "tuple" in value else list
    return kind(_unpack(item, tensors) for item in value[kind.__name__])
