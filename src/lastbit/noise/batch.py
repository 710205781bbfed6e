"""Batches of any nesting, and their samples by number.

A batch is a tensor, an array, or any nesting of tuples, lists and dictionaries of those. The first dimension of each
counts samples; numbers and tensors without dimensions belong to the whole batch. A list or tuple that holds plain
things, such as strings, one for each sample, is a column of the batch too.
"""

import copy
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
    found = f"its tensors have the shapes {', '.join(map(str, shapes))}" if shapes else "it holds no tensor"
    raise LastbitError(
        "the samples of a batch can be permuted where the first dimension of all its tensors counts samples;"
        f" this is a {type(batch).__name__}, and {found}"
    )


def taken(batch: Any, order: Tensor) -> Any:
    """A batch of the same make that holds the samples `order` names, in that order.

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
