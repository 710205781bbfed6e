"""The weights of an optimizer: their neighbours one unit in the last place away, read and written at chosen places."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from lastbit.errors import LastbitError
from lastbit.tensors import is_split, local

Groups = Iterable[Mapping[str, Any]]  # an optimizer's `param_groups`

_INTEGERS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


def _bits_of_the_ends(dtype: torch.dtype) -> tuple[int, int]:
    ends = torch.tensor([torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max], dtype=dtype)
    smallest, largest = ends.view(_INTEGERS[dtype]).tolist()
    return smallest, largest


_NORMAL = {dtype: _bits_of_the_ends(dtype) for dtype in _INTEGERS}  # bit patterns of the ends of the normal range


def neighbour(values: Tensor, up: Tensor | bool) -> Tensor:
    """The next number above or below each value, which is `nextafter(values, ±inf)`, among normal numbers.

    Only a normal number moves, and only to another normal number. Infinity and NaN have no neighbour, and nothing is
    moved to infinity. Zeros and subnormal numbers stay because a last-bit error of theirs is no error that arithmetic
    makes: a sum of two floating-point numbers that comes out zero or subnormal is exact.

    Args:
        values: float64, float32, float16 or bfloat16, of any shape and strides.
        up: whether towards +infinity; for all values, or for each.

    Returns:
        New values of the same shape and dtype.
    """
    bits, stepped = _bits(values, up)
    return torch.where(_are_normal(bits, stepped, values.dtype), stepped, bits).view(values.dtype)


def has_neighbour(values: Tensor, up: Tensor | bool) -> Tensor:
    """Whether `neighbour` moves a value; bool, of the shape of `values`."""
    return _are_normal(*_bits(values, up), values.dtype)


def _bits(values: Tensor, up: Tensor | bool) -> tuple[Tensor, Tensor]:
    """The values as integers, and the same one step up or down."""
    bits = values.view(_INTEGERS[values.dtype])
    # Below the sign bit lies the magnitude, so adding one moves away from zero on either side of it.
    outward = torch.as_tensor(up, device=bits.device) == (bits >= 0)
    return bits, bits + outward.to(bits.dtype).mul_(2).sub_(1)


def _are_normal(bits: Tensor, stepped: Tensor, dtype: torch.dtype) -> Tensor:
    return _is_normal(bits, dtype).logical_and_(_is_normal(stepped, dtype))


def _is_normal(bits: Tensor, dtype: torch.dtype) -> Tensor:
    magnitude = bits & torch.iinfo(bits.dtype).max
    smallest, largest = _NORMAL[dtype]
    return (magnitude >= smallest).logical_and_(magnitude <= largest)


def move_in_magnitude(values: Tensor, steps: Tensor) -> None:
    """Move values in place to the next number of larger or smaller magnitude, where `neighbour` moves them.

    Args:
        values: float64, float32, float16 or bfloat16, of any shape, contiguous.
        steps: int32 of this shape: 1 for the larger magnitude, -1 for the smaller, 0 for the value itself.
    """
    bits = values.view(_INTEGERS[values.dtype])
    steps = steps.to(bits.dtype)
    smallest, largest = _NORMAL[values.dtype]
    # The magnitude m and m + s, one step s away, are both normal if 2m + s lies between twice the smallest normal
    # number and twice the largest. Doubling drops the sign bit; integers wrap around, so that moving the lower bound to
    # the least integer leaves one comparison.
    least = torch.iinfo(bits.dtype).min
    moves = torch.add(steps, bits, alpha=2).sub_(2 * smallest + 1 + least).le_(2 * (largest - smallest - 1) + least)
    bits.addcmul_(steps, moves)


def disturbable(groups: Groups) -> list[Tensor]:
    """The parameters of an optimizer's groups whose numbers have a last place; errors as of `disturbable_shards`.

    Of a parameter that is split over processes, the part on this one is given.
    """
    return [weight for weights in disturbable_shards(groups).values() for weight in weights]


def disturbable_shards(groups: Groups) -> dict[tuple[int, int], list[Tensor]]:
    """The same by shard: which one, from 0, and of how many; (0, 1) is a tensor that every process has whole.

    A noise must be the same on all processes that have the same shard, and another on other shards.

    Raises:
        LastbitError: a parameter is not dense, or holds other tensors and is no `DTensor`.
        RuntimeError: a CUDA graph is being captured, in which nothing can be decided from numbers.
    """
    weights = [weight for group in groups for weight in group["params"]]
    for weight in weights:
        if weight.layout is not torch.strided or not (is_split(weight) or not is_traceable_wrapper_subclass(weight)):
            raise LastbitError(
                f"a parameter of type {type(weight).__name__} and layout {weight.layout} cannot be disturbed: "
                "only plain dense tensors have a last bit to move"
            )
    if any(weight.is_cuda for weight in weights) and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("a step that is captured in a CUDA graph cannot be disturbed: step outside of the capture")
    shards: dict[tuple[int, int], list[Tensor]] = {}
    for weight in weights:
        part = local(weight)
        if part.dtype.to_real() in _INTEGERS and part.numel():
            shards.setdefault(_shard(weight), []).append(part)
    return shards


def _shard(weight: Any) -> tuple[int, int]:
    """Which of how many parts of a weight is on this process."""
    number, count = 0, 1
    if is_split(weight):
        mesh = weight.device_mesh
        for dimension, (placement, place) in enumerate(zip(weight.placements, mesh.get_coordinate(), strict=True)):
            if not placement.is_replicate():
                number, count = number * mesh.size(dimension) + place, count * mesh.size(dimension)
    return number, count


def has_last_place(tensor: Tensor) -> bool:
    """Whether its elements are floating-point numbers in memory of its own that `neighbour` can move.

    Raises:
        RuntimeError: a CUDA graph is being captured, in which nothing can be drawn anew for each step.
    """
    if tensor.dtype not in _INTEGERS and tensor.dtype not in (torch.complex64, torch.complex128):
        return False
    if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("operations that are captured in a CUDA graph cannot be disturbed: run them outside of it")
    is_plain = tensor.layout is torch.strided and tensor.device.type != "meta" and not tensor.is_nested
    return is_plain and tensor.numel() > 0 and not tensor.is_conj() and not tensor.is_neg()


def real(weight: Tensor) -> Tensor:
    """Its real numbers: a view with pairs of them if it is complex, else itself."""
    return torch.view_as_real(weight) if weight.is_complex() else weight


def take(weight: Tensor, places: Tensor) -> Tensor:
    """Its real numbers at these places, counted in the order in which they lie in memory."""
    return _in_memory_order(weight).reshape(-1).index_select(0, places)


def put(weight: Tensor, places: Tensor, values: Tensor) -> None:
    """Write real numbers to these places, counted as `take` does; each is given once."""
    with in_row(weight) as row:
        row.index_copy_(0, places, values)


@contextmanager
def in_row(weight: Tensor) -> Iterator[Tensor]:
    """Its real numbers in one row to be changed in place, in the order in which they lie in memory."""
    ordered = _in_memory_order(weight)
    row = ordered.reshape(-1)
    yield row
    if not ordered.is_contiguous():  # there are gaps, so `row` is a copy
        ordered.copy_(row.view(ordered.shape))


def _in_memory_order(weight: Tensor) -> Tensor:
    numbers = real(weight)
    if numbers.is_contiguous():
        return numbers
    return numbers.permute(sorted(range(numbers.dim()), key=numbers.stride, reverse=True))
