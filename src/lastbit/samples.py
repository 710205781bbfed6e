"""Batches: tensors and arrays in any nesting of containers, and their samples by number.

A batch is a tensor, an array, or any nesting of tuples, lists, dictionaries and dataclasses of those. The first
dimension of each counts samples; numbers and tensors without dimensions belong to the whole batch. A list or tuple of
plain things, such as one string for each sample, is a column of the batch too.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from lastbit.errors import LastbitError

Column = Tensor | np.ndarray[Any, Any]
Loss = Callable[[Any, Any], Tensor]  # of a model's outputs and a batch's targets, one number


def batch_size(batch: Any) -> int:
    """The number of samples in which all tensors and arrays of a batch agree.

    Raises:
        LastbitError: they do not agree, or there are none.
    """
    shapes = [tuple(column.shape) for column in columns(batch) if column.ndim]
    sizes = {shape[0] for shape in shapes}
    if len(sizes) == 1:
        return int(sizes.pop())
    if not shapes and _is_opaque(batch):
        raise LastbitError(
            f"the batch is a {type(batch).__module__}.{type(batch).__qualname__}, whose samples are not recognised:"
            " batches may be tensors, arrays, and tuples, lists, dictionaries, named tuples and dataclasses of them."
            " Let the loader's collate_fn return one of these, or make the class a dataclass of tensors with a row"
            " for each sample"
        )
    held = f"its tensors have the shapes {', '.join(map(str, shapes))}" if shapes else "it holds no tensor"
    raise LastbitError(
        "the samples of a batch can be permuted where the first dimension of all its tensors counts samples;"
        f" this is a {type(batch).__name__}, and {held}"
    )


def taken(batch: Any, order: Tensor) -> Any:
    """A batch of the same structure with the samples that `order` names, in that order.

    Args:
        batch: what `batch_size` takes.
        order: int64 (samples,), on the CPU.

    Raises:
        LastbitError: it holds packed sequences, whose samples have no rows.
    """
    if isinstance(batch, Tensor):
        return _rows(batch, order) if batch.dim() else batch
    if isinstance(batch, np.ndarray):
        return batch[order.numpy()] if batch.ndim else batch
    if isinstance(batch, PackedSequence):
        raise LastbitError("the samples of a PackedSequence cannot be permuted; pack padded sequences in the model")
    held = parts(batch)
    if held is None:
        return batch
    if _is_plain_column(batch, len(order)):
        return refilled(batch, [batch[i] for i in order.tolist()])
    return refilled(batch, [taken(part, order) for part in held])


def columns(tree: Any) -> Iterator[Column]:
    """The tensors and arrays in a nested container, those without dimensions included."""
    if isinstance(tree, Tensor | np.ndarray):
        yield tree
    elif isinstance(tree, PackedSequence):
        yield tree.data
    else:
        for item in parts(tree) or ():
            yield from columns(item)


def parts(tree: Any) -> list[Any] | None:
    """The items of a container; None for anything else."""
    if isinstance(tree, Mapping):
        return list(tree.values())
    if isinstance(tree, PackedSequence):
        return None  # its fields mean nothing alone
    if _is_sequence(tree):
        return list(tree)
    return list(_fields(tree).values()) if _is_dataclass(tree) else None


def refilled(tree: Any, held: list[Any]) -> Any:
    """A container of the same type with other items, in the order of `parts`."""
    if isinstance(tree, Mapping):
        return _filled(tree, dict(zip(tree, held, strict=True)))
    if isinstance(tree, range):
        return held
    if _is_sequence(tree):
        return type(tree)(*held) if hasattr(tree, "_fields") else type(tree)(held)
    copied = copy.copy(tree)  # the constructor, which may compute, is not called
    for name, value in zip(_fields(tree), held, strict=True):
        object.__setattr__(copied, name, value)  # a frozen one too
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


def _rows(tensor: Tensor, order: Tensor) -> Tensor:
    order = order.to(tensor.device)
    if tensor.requires_grad:
        return tensor[order]
    # Written into memory of the same layout: channels last must stay so, or another kernel would do the convolutions.
    return torch.index_select(tensor, 0, order, out=torch.empty_like(tensor))


def _is_sequence(batch: Any) -> bool:
    return isinstance(batch, Sequence) and not isinstance(batch, str | bytes)


def _is_dataclass(batch: Any) -> bool:
    return dataclasses.is_dataclass(batch) and not isinstance(batch, type)


def _is_opaque(batch: Any) -> bool:
    """Whether it is an object of which nobody knows where its samples are."""
    known = isinstance(batch, Tensor | np.ndarray | Mapping | str | bytes | int | float) or batch is None
    return not (known or _is_sequence(batch) or _is_dataclass(batch))


def _fields(batch: Any) -> dict[str, Any]:
    return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch) if hasattr(batch, field.name)}


def _is_plain_column(batch: Any, samples: int) -> bool:
    """Whether it is a list of one plain thing for each sample, as the default collation makes of strings."""
    return _is_sequence(batch) and len(batch) == samples and not any(column.ndim for column in columns(batch))


def _filled(like: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    """A mapping of the type of `like`, which may need more than its items to be made."""
    if type(like) is dict:
        return values
    filled: Any = copy.copy(like)
    for key, value in values.items():
        filled[key] = value
    return filled
