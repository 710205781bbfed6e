"""A tensor in a few numbers: a digest, its norm, and a sketch, from two of which follows how far two tensors are apart.

A sketch is a count sketch (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002): every
element, with a random sign, is added to one of r = 8 buckets that is chosen at random, both fixed for each position for
ever. It is linear, so the difference of two sketches is the sketch of the difference, and the mean of its squared norm
is the squared norm of the difference. The position is that in logical order, whatever the memory format.

The elements are laid out in rows of 1021. A sign is the product of one for the row and one for the column, and the
bucket depends on the column; so one pass adds the rows up, each with its sign, and the rest is done on 1021 sums. All
sums are in float64 and in a fixed order, whatever the number of threads.

The relative standard deviation of the squared distance is at most sqrt(2 / r) = 0.5 (of the distance, about 0.25) as
long as a difference is not a product of a function of the row and one of the column, in which case it is up to
sqrt(8 / r). 1021 is prime, so columns of matrices, channels and images are none. Up to 8 elements it is exact.
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
_ROWS = 32  # that are worked on at a time, and fit into the cache
_SQUARED = 8 * WIDTH  # elements whose squares are summed at a time: for so few no BLAS uses more than one thread
_DEVICE_ROWS = 16384  # that are worked on at a time on a device
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

    The sketch has 8 numbers, or of fewer elements the next power of two.
    """
    values = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).view(-1)
    count = values.numel()
    if count < 2:
        number = float(values.item()) if count else 0.0
        return abs(number), (number,)
    with np.errstate(all="ignore"):  # what diverged is summed like anything else
        if count > WIDTH and values.device.type != "cpu":
            squares, sums = _on_device(values)
        else:
            # NumPy has no bfloat16, and is slow with float16.
            held = (values if values.dtype in _FOR_NUMPY else values.float()).cpu()
            numbers = _in_numpy(held)
            squares, sums = _of_one_row(numbers) if count <= WIDTH else _of_many_rows(numbers)
        return math.sqrt(squares), _in_buckets(sums)


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
    signs = _row_signs(-(-len(values) // WIDTH))
    for begin in range(0, len(values), len(flat)):
        part = values[begin : begin + len(flat)]
        used = signs[begin // WIDTH : -(-(begin + len(part)) // WIDTH)]
        whole = flat[: len(used) * WIDTH]
        whole[: len(part)] = part
        whole[len(part) :] = 0
        sums += np.einsum("i,ij->j", used, rows[: len(used)])
        for first in range(0, len(whole), _SQUARED):
            some = whole[first : first + _SQUARED]
            squares += float(some.dot(some))
    return squares, sums


def _on_device(values: Tensor) -> tuple[float, Floats]:
    sums = torch.zeros(WIDTH, dtype=torch.float64, device=values.device)
    squares = torch.zeros((), dtype=torch.float64, device=values.device)
    signs = torch.from_numpy(_row_signs(-(-values.numel() // WIDTH))).to(values.device)
    step = _DEVICE_ROWS * WIDTH
    for begin in range(0, values.numel(), step):
        part = values[begin : begin + step].to(torch.float64)
        squares += part @ part
        rows = -(-part.numel() // WIDTH)
        part = torch.nn.functional.pad(part, (0, rows * WIDTH - part.numel())).view(rows, WIDTH)
        row = begin // WIDTH
        sums += signs[row : row + rows] @ part
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
    signs = 1.0 - 2.0 * (_random_bits(count, stream=1) >> np.uint64(63)).astype(np.float64)
    buckets = _random_bits(count, stream=2) >> np.uint64(61)
    buckets[:BUCKETS] = np.arange(min(count, BUCKETS))  # none is empty, and the sketch of 8 elements is exact
    order = np.argsort(buckets, kind="stable")
    return signs, order, np.searchsorted(buckets[order], np.arange(BUCKETS))


def _random_bits(count: int, *, stream: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The first of a stream of random words, the same in every version of numpy."""
    return np.random.PCG64([_SEED, stream]).random_raw(count)


@lru_cache(maxsize=1)
def _signs_of(rows: int) -> Floats:
    signs = 1.0 - 2.0 * (_random_bits(rows, stream=0) >> np.uint64(63)).astype(np.float64)
    signs[0] = 1.0  # a tensor of one row needs no multiplication
    return signs


def _row_signs(rows: int) -> Floats:
    """The signs of the first rows."""
    return _signs_of(1 << max(10, (rows - 1).bit_length()))[:rows]
