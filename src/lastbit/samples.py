"""The samples of a batch of any nesting, by number.

A batch is a tensor, an array, or any nesting of tuples, lists, dictionaries and dataclasses of those. The first
dimension of each counts samples; numbers and tensors without dimensions belong to the whole batch. A list or tuple of
plain things, such as one string for each sample, is a column of the batch too.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lastbit.errors import LastbitError


def batch_size(batch: Any) -> int:
    """The number of samples in which all tensors and arrays of a batch agree.

    Raises:
        LastbitError: they do not agree, or there are none.
    """
    shapes = [tuple(column.shape) for column in _columns(batch)]
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
    """
    if isinstance(batch, Tensor):
        return _rows(batch, order) if batch.dim() else batch
    if isinstance(batch, np.ndarray):
        return batch[order.numpy()] if batch.ndim else batch
    if isinstance(batch, Mapping):
        return _refilled(batch, {key: taken(value, order) for key, value in batch.items()})
    if _is_dataclass(batch):
        return _with_fields(batch, {name: taken(value, order) for name, value in _fields(batch).items()})
    if _is_plain_column(batch, len(order)):
        return _rebuilt(batch, [batch[i] for i in order.tolist()])
    if _is_sequence(batch):
        return _rebuilt(batch, [taken(part, order) for part in batch])
    return batch


def _columns(batch: Any) -> Iterator[Tensor | np.ndarray[Any, Any]]:
    if isinstance(batch, Tensor | np.ndarray):
        yield from [batch] if batch.ndim else []
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _columns(value)
    elif _is_dataclass(batch):
        yield from _columns(_fields(batch))
    elif _is_sequence(batch):
        for part in batch:
            yield from _columns(part)


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


def _with_fields(like: Any, values: dict[str, Any]) -> Any:
    """A copy with other values in its fields; its constructor, which may compute, is not called."""
    filled = copy.copy(like)
    for name, value in values.items():
        object.__setattr__(filled, name, value)  # frozen ones too
    return filled


def _is_plain_column(batch: Any, samples: int) -> bool:
    """Whether it is a list of one plain thing for each sample, as the default collation makes of strings."""
    return _is_sequence(batch) and len(batch) == samples and not any(True for _ in _columns(batch))


def _rebuilt(like: Any, parts: list[Any]) -> Any:
    """A sequence of the type of `like`, named tuples included."""
    return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)


def _refilled(like: Any, values: dict[Any, Any]) -> Any:
    """A mapping of the type of `like`, which may need more than its items to be made."""
    if type(like) is dict:
        return values
    refilled = copy.copy(like)
    for key, value in values.items():
        refilled[key] = value
    return refilled
