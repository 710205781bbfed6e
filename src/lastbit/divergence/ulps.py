"""Distances in units in the last place: how many representable numbers lie between two weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lastbit.divergence.distances import check_comparable
from lastbit.errors import LastbitTypeError

_BITS = {
    torch.float64: (torch.int64, 63),
    torch.float32: (torch.int32, 31),
    torch.float16: (torch.int16, 15),
    torch.bfloat16: (torch.int16, 15),
}
_POWERS = np.uint64(1) << np.arange(64, dtype=np.uint64)


@dataclass(frozen=True)
class UlpHistogram:
    """How many weights are how many units in the last place apart."""

    counts: tuple[
        int, ...
    ]  # [0]: equal weights; [i]: those 2**(i-1) to 2**i - 1 ulps apart; up to the last that any has
    largest: int  # ulps, over the weights that are finite in both
    not_finite: int  # weights that are NaN or inf in either network, which are in no bin

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """First and last distance, in ulps, of each bin."""
        return tuple((2**i // 2, max(2**i - 1, 0)) for i in range(len(self.counts)))

    @property
    def changed(self) -> float:
        """Share of the finite weights that differ in at least one ulp; NaN where there is none."""
        finite = sum(self.counts)
        return 1 - self.counts[0] / finite if finite else float("nan")


def ulp_histogram(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> UlpHistogram:
    """Distances in ulps between the weights of two networks, binned by powers of two.

    Args:
        weights: name -> tensor of any shape, in float64, float32, float16 or bfloat16.
        others: the same names, shapes and dtypes.

    Raises:
        LastbitError: the two differ in their names or shapes, or hold no weight at all.
        LastbitTypeError: a dtype is none of these, or differs between the two.
    """
    check_comparable(weights, others)
    counts, largest, not_finite = np.zeros(65, dtype=np.int64), 0, 0
    for name, tensor in weights.items():
        finite = (tensor.isfinite() & others[name].isfinite()).flatten().cpu().numpy()
        ulps = ulp_distance(tensor, others[name]).ravel()[finite]
        counts += np.bincount(np.searchsorted(_POWERS, ulps, side="right"), minlength=65)
        largest = max(largest, int(ulps.max(initial=0)))
        not_finite += int((~finite).sum())
    last = int(np.flatnonzero(counts).max(initial=0))
    return UlpHistogram(tuple(counts[: last + 1].tolist()), largest, not_finite)


def ulp_distance(one: Tensor, other: Tensor) -> NDArray[np.uint64]:
    """Steps from each element to its counterpart through the representable numbers, as `nextafter` takes them.

    Zero is one number, whichever its sign; infinity is the one after the largest. The distance of a NaN means nothing.

    Args:
        one: float64, float32, float16 or bfloat16, any shape.
        other: same shape and dtype.

    Returns:
        Whole numbers of the shape of `one`; up to 2**64 − 2**53, so unsigned.

    Raises:
        LastbitTypeError: the dtype is none of these, or differs between the two.
    """
    if one.dtype != other.dtype or one.dtype not in _BITS:
        raise LastbitTypeError(
            f"ulps are of one dtype, float64, float32, float16 or bfloat16: got {one.dtype} and {other.dtype}"
        )
    (size, below), (others_size, others_below) = _magnitude_and_sign(one), _magnitude_and_sign(other)
    # Unsigned throughout: from the most negative to the largest float64 there are more steps than int64 can hold.
    same_side = np.maximum(size, others_size) - np.minimum(size, others_size)
    distance: NDArray[np.uint64] = np.where(below == others_below, same_side, size + others_size)
    return distance


def _magnitude_and_sign(values: Tensor) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """How many numbers lie between zero and each value (its bits without the sign), and whether it is below zero."""
    integers, sign_bit = _BITS[values.dtype]
    bits = values.detach().cpu().contiguous().view(integers).numpy().astype(np.int64)
    return (bits & ((1 << sign_bit) - 1)).astype(np.uint64), bits < 0
