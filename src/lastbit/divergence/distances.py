"""How far apart two networks' weights are: RelL1 (the paper's), relative L2, their angle, and units in the last place.

All take two mappings from names to tensors, of the same names and shapes. All but the last compute in float64.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lastbit.errors import LastbitError, LastbitTypeError

Shape = tuple[int, ...]

_BITS = {
    torch.float64: (torch.int64, 63),
    torch.float32: (torch.int32, 31),
    torch.float16: (torch.int16, 15),
    torch.bfloat16: (torch.int16, 15),
}
_POWERS = np.uint64(1) << np.arange(64, dtype=np.uint64)


@dataclass(frozen=True)
class RelL1:
    """RelL1 between two networks, as a whole and tensor by tensor."""

    value: float  # over all weights, in [0, 2]; NaN where a weight is not finite
    tensors: dict[str, float]  # name of the tensor -> its own RelL1, in [0, 2]


def rel_l1(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> RelL1:
    """Mean relative L1 difference, 2 · mean_i |w_i − w'_i| / (|w_i| + |w'_i|), with 0/0 = 0 (paper, section 4.2).

    The measure is relative because rounding error is; it is 0 for equal and 2 for opposite weights.

    Args:
        weights: name -> tensor of any shape.
        others: the same names and shapes.

    Raises:
        LastbitError: the two differ in their names or shapes, or hold no weight at all.
    """
    check_comparable(weights, others)
    sums = {name: _sum_of_ratios(tensor, others[name]) for name, tensor in weights.items()}
    sizes = {name: tensor.numel() for name, tensor in weights.items()}
    return RelL1(
        value=2 * sum(sums.values()) / sum(sizes.values()),
        tensors={name: 2 * total / sizes[name] for name, total in sums.items() if sizes[name]},
    )


def _sum_of_ratios(one: Tensor, other: Tensor) -> float:
    # float64 keeps a last-bit difference of float64 weights visible, and |w| + |w'| from overflowing float32.
    one, other = one.detach().double(), other.detach().double()
    difference = (one - other).abs()
    ratio = difference / (one.abs() + other.abs())
    return float(torch.where(difference == 0, 0.0, ratio).sum())


@dataclass(frozen=True)
class RelativeL2:
    """Relative L2 distance of a network to a reference, as a whole and tensor by tensor."""

    value: float  # ‖w − w′‖ / ‖w′‖ over all weights; NaN or inf where a weight is not finite
    tensors: dict[str, float]  # name of the tensor -> its own relative L2
    norms: dict[str, float]  # name of the tensor -> ‖w − w′‖, in the unit of the weights


def relative_l2(weights: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> RelativeL2:
    """Relative L2 distance ‖w − w′‖ / ‖w′‖; 0/0 counts as 0.

    Unlike RelL1 it weights a difference by its size, so that many tiny weights do not decide it.

    Args:
        weights: name -> tensor of any shape.
        reference: the weights w′ that the distance is relative to; the same names and shapes.

    Raises:
        LastbitError: the two differ in their names or shapes, or hold no weight at all.
    """
    check_comparable(weights, reference)
    norms = {name: norm(tensor.detach().double() - reference[name].double()) for name, tensor in weights.items()}
    sizes = {name: norm(tensor) for name, tensor in reference.items()}
    return RelativeL2(
        value=ratio(math.hypot(*norms.values()), math.hypot(*sizes.values())),
        tensors={name: ratio(norms[name], sizes[name]) for name, tensor in weights.items() if tensor.numel()},
        norms=norms,
    )


@dataclass(frozen=True)
class Cosine:
    """How far two sets of weights point the same way."""

    value: float  # cosine similarity, in [-1, 1]; NaN where a weight is not finite or all are zero
    angle: float  # radians, in [0, π]


def cosine(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Cosine:
    """Cosine similarity of two networks' weights, all tensors as one vector, and the angle between them.

    The angle is 2 atan2(‖u − v‖, ‖u + v‖) of the unit vectors u and v (Kahan 2006, *How Futile are Mindless
    Assessments of Roundoff*, section 12). It is accurate for small angles, where the arc cosine of a similarity, which
    differs from 1 by half the angle's square, shows nothing below 1e-8.

    Args:
        weights: name -> tensor of any shape.
        others: the same names and shapes.

    Raises:
        LastbitError: the two differ in their names or shapes, or hold no weight at all.
    """
    check_comparable(weights, others)
    one, other = (_total(network.values()) for network in (weights, others))
    if not (one > 0 and other > 0 and math.isfinite(one) and math.isfinite(other)):
        return Cosine(math.nan, math.nan)
    pairs = [(tensor.detach().double() / one, others[name].double() / other) for name, tensor in weights.items()]
    angle = 2 * math.atan2(_total(u - v for u, v in pairs), _total(u + v for u, v in pairs))
    return Cosine(math.cos(angle), angle)


def norm(values: Tensor) -> float:
    """‖values‖₂ in float64, which neither overflows nor loses what is tiny; NaN or inf where a value is."""
    flat = values.detach().double().flatten()
    largest = float(flat.abs().max()) if flat.numel() else 0.0
    # Divided by the largest first: the square of a single last bit near the smallest float64 would be zero, and the
    # square of a large weight infinite.
    return largest * float((flat / largest).norm()) if largest > 0 and math.isfinite(largest) else largest


def _total(tensors: Iterable[Tensor]) -> float:
    return math.hypot(*map(norm, tensors))


def ratio(difference: float, size: float) -> float:
    """Difference / size: 0 if nothing differs, inf if something differs from nothing, NaN if the difference is."""
    if difference == 0 or math.isnan(difference):
        return difference
    return difference / size if size else math.inf


def check_comparable(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    """Check that two sets of weights have the same names and shapes and hold a weight.

    Raises:
        LastbitError: they do not; the message names the first difference.
    """
    check_shapes(*({name: tuple(tensor.shape) for name, tensor in part.items()} for part in (weights, others)))


def check_shapes(shapes: Mapping[str, Shape], others: Mapping[str, Shape]) -> None:
    """Check the shapes alone, by the tensors' names.

    Raises:
        LastbitError: they differ, or every tensor is empty; the message names the first difference.
    """
    for name in sorted(shapes.keys() ^ others.keys()):
        raise LastbitError(f"weights that differ in their tensors cannot be compared: {name!r} is only in one of them")
    for name, shape in others.items():
        if shape != shapes[name]:
            raise LastbitError(f"tensor {name!r} has shape {shapes[name]} in one network and {shape} in the other")
    if not any(0 not in shape for shape in shapes.values()):
        raise LastbitError("there is no weight to compare: every tensor is empty")


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
