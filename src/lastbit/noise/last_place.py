"""The neighbours of floating-point numbers, one unit in the last place away."""

import torch
from torch import Tensor

_INTEGERS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}
DTYPES = frozenset(_INTEGERS)


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
