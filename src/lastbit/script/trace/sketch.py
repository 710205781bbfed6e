"""A tensor in a few numbers: a digest, its norm, and a sketch, from two of which follows how far two tensors are apart.

A sketch is a count sketch (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002): every
element, with a random sign, is added to one of r = 8 buckets that is chosen at random, both fixed for each position for
ever. It is linear, so the difference of two sketches is the sketch of the difference, and the mean of its squared norm
is the squared norm of the difference. The position is that in logical order, whatever the memory format.

The elements are laid out in rows of 1021, and 32 rows are a block. A sign is the product of one for the row in its
block and the column, one for the block and the column, and one for the column; the bucket depends on the column. So one
pass adds the rows up, each with its signs, and the rest is done on 1021 sums. All sums are in float64 and in a fixed
order, whatever the number of threads.

The relative standard deviation of the squared distance is about sqrt(2 / r) = 0.5 (of the distance, about 0.25), also
of a constant difference, and of one in a column of a matrix, a channel or an image: 1021 is prime, so these are spread
over the buckets. Of one element it is 0; of few elements that share a bucket it is up to sqrt(2). Up to 8 elements the
distance is exact.
"""

import ctypes
import math
import threading
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lastbit.script.audit.bits import is_plain, logical_digest, outline
from lastbit.script.trace.records import TensorSummary

BUCKETS = 8
WIDTH = 1021  # columns; prime
_ROWS = 32  # of a block, which is worked on at a time, and fits into the cache
_SQUARED = 8 * WIDTH  # elements whose squares are summed at a time: for so few no BLAS uses more than one thread
_DEVICE_BLOCKS = 256  # that are worked on at a time on a device
_SMALL, _SHIFT = 2.0**-960, 2.0**600  # sums of squares below which some are no normal numbers; what takes them away
_LONG = 1 << 16  # signs, of which each block takes 1021 from a place of its own
_SEED = 20180  # of signs and buckets, never to be changed: sketches of other signs cannot be compared

_FOR_NUMPY = {
    *(torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
}

_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}  # integers of the same size

Indices = np.ndarray[Any, np.dtype[np.intp]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


class _Scratch(threading.local):
    """Memory that is used again: fresh memory costs as much time as what is done with it."""

    def __init__(self) -> None:
        self.rows = np.empty((_ROWS, WIDTH))
        self._copied = torch.empty(0, dtype=torch.uint8)

    def in_order(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of another memory format, until the next."""
        size = tensor.numel() * tensor.element_size()
        if self._copied.numel() < size:
            self._copied = torch.empty(size, dtype=torch.uint8)
        copy = self._copied[:size].view(tensor.dtype).view(tensor.shape)
        bits = _BITS.get(tensor.dtype)
        if bits is None:
            return copy.copy_(tensor)
        copy.view(bits).copy_(tensor.view(bits))  # in half the time of floating-point numbers
        return copy


_scratch = _Scratch()


def summarise(tensor: Tensor, *, known: bool = True) -> TensorSummary:
    """Summarise a tensor of any type, device and memory format.

    Args:
        tensor: of which nothing is kept.
        known: whether its values mean something; otherwise the summary has none.
    """
    device = tensor.device.type
    if not known or not is_plain(tensor):
        return TensorSummary(outline(tensor), _name(tensor.dtype), device, None, math.nan, ())
    values = tensor.detach()
    if values.is_complex():
        values = values.resolve_conj()
    if values.is_neg():
        values = values.resolve_neg()
    if device not in ("cpu", "cuda"):
        values = values.cpu()  # where there may be no float64
    if not values.is_contiguous():
        values = _scratch.in_order(values) if values.device.type == "cpu" else values.contiguous()
    norm, sketch = sketch_of(values)
    return TensorSummary(tuple(tensor.shape), _name(tensor.dtype), device, logical_digest(values), norm, sketch)


@cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def sketch_of(tensor: Tensor) -> tuple[float, tuple[float, ...]]:
    """Norm and sketch of a contiguous tensor.

    The sketch has 8 numbers, or of fewer elements the next power of two. Of numbers whose squares float64 does not hold
    the norm is that of as many times a power of two.
    """
    values = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).view(-1)
    count = values.numel()
    if count < 2:
        number = float(values.item()) if count else 0.0
        return abs(number), (number,)
    with np.errstate(all="ignore"):  # what diverged is summed like anything else
        squares, sums = _added_up(values)
        norm = math.sqrt(squares)
        if values.dtype == torch.float64 and not _SMALL < squares < math.inf:  # others' squares are all in its range
            shift = _SHIFT if squares < 1 else 1 / _SHIFT
            norm = math.sqrt(_added_up(values * shift)[0]) / shift
        return norm, _in_buckets(sums)


def _added_up(values: Tensor) -> tuple[float, Floats]:
    """Of the numbers of a vector the sum of squares, and the sum of the rows with their signs."""
    if len(values) > WIDTH and values.device.type != "cpu":
        return _on_device(values)
    # NumPy has no bfloat16, and is slow with float16.
    held = (values if values.dtype in _FOR_NUMPY else values.float()).cpu()
    numbers = _in_numpy(held)
    return _of_one_row(numbers) if len(values) <= WIDTH else _of_many_rows(numbers)


def _in_numpy(values: Tensor) -> np.ndarray[Any, Any]:
    """The memory of a contiguous tensor of `_FOR_NUMPY`, as long as the tensor lives.

    `Tensor.numpy` would leave a mark on the tensor: its memory could not be resized any more, as FSDP does.
    """
    size = values.numel() * values.element_size()
    memory = memoryview((ctypes.c_char * size).from_address(values.data_ptr()))
    array: np.ndarray[Any, Any] = np.frombuffer(memory, np.dtype(_name(values.dtype)))
    return array


def _of_one_row(values: np.ndarray[Any, Any]) -> tuple[float, Floats]:
    row = values.astype(np.float64)
    return float(row.dot(row)), row


def _of_many_rows(values: np.ndarray[Any, Any]) -> tuple[float, Floats]:
    """The sum of squares, and the sum of the rows with their signs."""
    rows = _scratch.rows
    flat = rows.reshape(-1)
    squares, sums = 0.0, np.zeros(WIDTH)
    within = _signs_within("float32" if values.dtype == np.float32 else "float64").reshape(-1)
    begins = _begins_of(-(-len(values) // len(flat)))
    for block, begin in enumerate(range(0, len(values), len(flat))):
        part = values[begin : begin + len(flat)]
        used = -(-len(part) // WIDTH)
        whole = flat[: used * WIDTH]
        np.multiply(part, within[: len(part)], out=whole[: len(part)])  # signs leave squares as they are
        whole[len(part) :] = 0
        added = np.add.reduce(rows[:used], axis=0)
        sums += added * _long_signs()[begins[block] : begins[block] + WIDTH] if block else added
        for first in range(0, len(whole), _SQUARED):
            some = whole[first : first + _SQUARED]
            squares += float(some.dot(some))
    return squares, sums


def _on_device(values: Tensor) -> tuple[float, Floats]:
    sums = torch.zeros(WIDTH, dtype=torch.float64, device=values.device)
    squares = torch.zeros((), dtype=torch.float64, device=values.device)
    size = _ROWS * WIDTH
    within = torch.from_numpy(_signs_within("float64")).to(values.device)
    between = torch.from_numpy(_signs_between(-(-values.numel() // size))).to(values.device)
    for begin in range(0, values.numel(), _DEVICE_BLOCKS * size):
        part = values[begin : begin + _DEVICE_BLOCKS * size].to(torch.float64)
        squares += part @ part
        blocks, first = -(-part.numel() // size), begin // size
        part = torch.nn.functional.pad(part, (0, blocks * size - part.numel())).view(blocks, _ROWS, WIDTH)
        sums += ((part * within).sum(1) * between[first : first + blocks]).sum(0)
    return float(squares), sums.cpu().numpy()


def _in_buckets(sums: Floats) -> tuple[float, ...]:
    """The sketch of one row."""
    signs, order, begins = _columns(len(sums))
    if len(sums) < BUCKETS:
        buckets = 1 << (len(sums) - 1).bit_length()
        return (*(sums * signs).tolist(), *[0.0] * (buckets - len(sums)))
    return tuple(np.add.reduceat((sums * signs).take(order), begins).tolist())


@lru_cache(maxsize=256)
def _columns(count: int) -> tuple[Floats, Indices, Indices]:
    """The signs of the first columns, their order by buckets, and where each bucket begins in it."""
    signs = _random_signs(count, stream=1)
    buckets = _random_bits(count, stream=2) >> np.uint64(61)
    buckets[:BUCKETS] = np.arange(min(count, BUCKETS))  # none is empty, and the sketch of 8 elements is exact
    order = np.argsort(buckets, kind="stable")
    return signs, order, np.searchsorted(buckets[order], np.arange(BUCKETS))


def _random_bits(count: int, *, stream: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The first of a stream of random words, the same in every version of numpy."""
    return np.random.PCG64([_SEED, stream]).random_raw(count)


def _random_signs(count: int, *, stream: int) -> Floats:
    return 1.0 - 2.0 * (_random_bits(count, stream=stream) >> np.uint64(63)).astype(np.float64)


@cache
def _signs_within(dtype: str) -> Floats:
    """The signs of rows and columns within a block."""
    signs = _random_signs(_ROWS * WIDTH, stream=0).reshape(_ROWS, WIDTH)
    signs[0] = 1.0  # a tensor of one row needs no multiplication
    return signs.astype(dtype)


@cache
def _long_signs() -> Floats:
    return _random_signs(_LONG, stream=3)


def _begins_of(blocks: int) -> Indices:
    """For each of the first blocks, where its signs begin in the long row of them; the first block has none."""
    return _many_begins(1 << max(5, (blocks - 1).bit_length()))[:blocks]


@lru_cache(maxsize=1)
def _many_begins(blocks: int) -> Indices:
    return (_random_bits(blocks, stream=4) % np.uint64(_LONG - WIDTH)).astype(np.intp)


def _signs_between(blocks: int) -> Floats:
    """The signs of the first blocks by columns."""
    signs = np.lib.stride_tricks.sliding_window_view(_long_signs(), WIDTH)[_begins_of(blocks)]
    signs[0] = 1.0
    return signs
