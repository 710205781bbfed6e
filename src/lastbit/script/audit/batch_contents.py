"""What a batch holds, in numbers: which samples were drawn for it, and checksums of each of them and of all."""

import ctypes
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from lastbit.script.audit.bits import digest, is_plain, outline

_MOST_SAMPLES = 1 << 14  # of a batch, that are looked at one by one
_LONGEST = 40  # characters of a key that is no number
_DEEP = 8  # containers within containers
_Text = str | bytes


def named(indices: Any) -> tuple[int | str, ...] | None:
    """The samples that a sampler drew for a batch: whole numbers, or other keys in words.

    Args:
        indices: what the sampler gave: a list, or a single index where the loader does not put batches together.

    Returns:
        None for an iterable data set, whose samples have no index.
    """
    if isinstance(indices, Tensor):
        indices = indices.tolist()
    drawn = list(indices) if isinstance(indices, list | tuple | range) else [indices]
    if all(index is None for index in drawn):
        return None
    plain = [index.item() if hasattr(index, "item") else index for index in drawn[:_MOST_SAMPLES]]
    return tuple(index if type(index) is int else str(index)[:_LONGEST] for index in plain)


def checksums(data: Any, count: int | None) -> tuple[tuple[int, ...], int]:
    """CRC-32 of each sample of a batch, and of all of it.

    Args:
        data: the batch: tensors, numbers and texts in lists, tuples and mappings.
        count: how many samples it holds; None where nobody knows, and the first tensor says.

    Returns:
        The samples' checksums; none where the batch does not hold them one behind the other, along the first dimension
        of each tensor. That of the batch, in which shapes and all else count too.
    """
    leaves = list(_leaves(data, _DEEP))
    if count is None:
        count = next((len(leaf) for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()), 0)
    samples: list[int] = []
    whole = zlib.crc32(repr([outline(leaf) for leaf in leaves if isinstance(leaf, Tensor)]).encode())
    for leaf in leaves:
        if 0 < count <= _MOST_SAMPLES and _is_split(leaf, count):
            samples = _of_samples(leaf, samples or [0] * count)
        elif isinstance(leaf, Tensor):
            whole = zlib.crc32(digest(leaf).to_bytes(4, "little"), whole) if is_plain(leaf) else whole
        elif isinstance(leaf, int | float | complex | _Text | list):
            whole = zlib.crc32(repr(leaf).encode(), whole)
    return tuple(samples), zlib.crc32(repr(samples).encode(), whole)


def _leaves(data: Any, deep: int) -> Iterator[Any]:
    """The tensors and other values in a batch; texts in a list, of a sample each, stay together."""
    if isinstance(data, list | tuple) and data and all(isinstance(item, _Text) for item in data):
        yield list(data)
    elif isinstance(data, Tensor | _Text) or not deep:
        yield data
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _leaves(value, deep - 1)
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _leaves(value, deep - 1)
    elif hasattr(data, "__dict__"):  # a batch of a class of its own
        yield from _leaves(vars(data), deep - 1)
    else:
        yield data


def _is_split(leaf: Any, count: int) -> bool:
    """Whether a value holds something of each of so many samples, one behind the other."""
    if isinstance(leaf, Tensor):
        return leaf.dim() > 0 and len(leaf) == count and is_plain(leaf) and leaf.device.type == "cpu"
    return isinstance(leaf, list) and len(leaf) == count


def _of_samples(leaf: Any, before: list[int]) -> list[int]:
    """Go on with the checksum of each sample."""
    if not isinstance(leaf, Tensor):
        return [zlib.crc32(repr(item).encode(), one) for item, one in zip(leaf, before, strict=True)]
    leaf = leaf.contiguous()
    size = leaf.numel() * leaf.element_size() // len(before)
    if size == 0:
        return before
    memory = memoryview((ctypes.c_char * (size * len(before))).from_address(leaf.data_ptr())).cast("B")
    return [zlib.crc32(memory[place * size : (place + 1) * size], one) for place, one in enumerate(before)]
