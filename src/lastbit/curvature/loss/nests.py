"""Nested containers of tensors, as batches are: tuples, lists, named tuples, mappings and dataclasses."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

Column = Tensor | np.ndarray[Any, Any]


def columns(tree: Any) -> Iterator[Column]:
    """The tensors and arrays in a nested container."""
    if isinstance(tree, Tensor | np.ndarray):
        yield tree
        return
    if isinstance(tree, PackedSequence):
        yield tree.data
        return
    for item in parts(tree) or ():
        yield from columns(item)


def parts(tree: Any) -> list[Any] | None:
    """The items of a container; None for anything else."""
    if isinstance(tree, Mapping):
        return list(tree.values())
    if isinstance(tree, PackedSequence):
        return None  # its fields mean nothing alone
    if isinstance(tree, tuple | list):
        return list(tree)
    if _is_dataclass(tree):
        return [getattr(tree, field.name) for field in dataclasses.fields(tree)]
    return None


def refilled(tree: Any, held: list[Any]) -> Any:
    """A container of the same type with other items, in the order of `parts`."""
    if isinstance(tree, Mapping):
        return _filled(tree, dict(zip(tree, held, strict=True)))
    if isinstance(tree, tuple | list):
        return type(tree)(*held) if hasattr(tree, "_fields") else type(tree)(held)
    copied = copy.copy(tree)
    for field, value in zip(dataclasses.fields(tree), held, strict=True):
        object.__setattr__(copied, field.name, value)  # a frozen one too
    return copied


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The same nested container with every leaf changed; containers keep their types."""
    held = parts(tree)
    return change(tree) if held is None else refilled(tree, [mapped(item, change) for item in held])


def on_device(tree: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    """A copy of inputs or targets on a device; floating-point tensors in `dtype` where one is given.

    It is always a copy, since a model may write to its inputs.
    """

    def place(leaf: Any) -> Any:
        """Return a tensor's copy on the device, in the dtype where it is floating-point."""
        if isinstance(leaf, PackedSequence):
            return _placed_sequences(leaf, device, dtype)
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf.to(device, dtype if leaf.is_floating_point() else None, copy=True)

    return mapped(tree, place)


def _placed_sequences(packed: PackedSequence, device: torch.device, dtype: torch.dtype | None) -> PackedSequence:
    """A copy of packed sequences; their batch sizes stay on the CPU."""
    orders = (None if order is None else order.to(device, copy=True) for order in packed[2:])
    kind = dtype if packed.data.is_floating_point() else None
    return PackedSequence(packed.data.to(device, kind, copy=True), packed.batch_sizes.clone(), *orders)


def described(tree: Any) -> str:
    """A nested container in a few words, for messages."""
    if isinstance(tree, Tensor):
        return f"a tensor of shape {tuple(tree.shape)} and type {str(tree.dtype).removeprefix('torch.')}"
    kind = type(tree).__name__
    if isinstance(tree, Mapping):
        return f"a {kind} of {', '.join(map(str, list(tree)[:6]))}"
    if isinstance(tree, tuple | list) and not hasattr(tree, "_fields"):
        return f"a {kind} of {len(tree)}"
    return f"a {kind}"


def _is_dataclass(tree: Any) -> bool:
    return dataclasses.is_dataclass(tree) and not isinstance(tree, type)


def _filled(like: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    """A mapping of the type of `like`, which may need more than its items to be made."""
    if type(like) is dict:
        return values
    filled: Any = copy.copy(like)
    for key, value in values.items():
        filled[key] = value
    return filled
