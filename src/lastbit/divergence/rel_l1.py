"""RelL1, the paper's distance between two sets of weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lastbit.divergence.comparable import check_comparable


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
    # float64 keeps a single last-bit difference of float64 weights visible and |w| + |w'| from overflowing float32.
    one, other = one.detach().double(), other.detach().double()
    difference = (one - other).abs()
    ratio = difference / (one.abs() + other.abs())
    return float(torch.where(difference == 0, 0.0, ratio).sum())
