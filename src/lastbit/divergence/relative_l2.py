"""Relative L2, the distance of numerical analysis: the norm of the difference over the norm of the reference."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lastbit.divergence.comparable import check_comparable
from lastbit.divergence.norm import norm, relative, total


@dataclass(frozen=True)
class RelativeL2:
    """Relative L2 distance of a network to a reference, as a whole and tensor by tensor."""

    value: float  # ‖w − w′‖ / ‖w′‖ over all weights; NaN or inf where a weight is not finite
    tensors: dict[str, float]  # name of the tensor -> its own relative L2
    norms: dict[str, float]  # name of the tensor -> ‖w − w′‖, in the unit of the weights


def relative_l2(weights: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> RelativeL2:
    """Relative L2 distance ‖w − w′‖ / ‖w′‖, accumulated in float64; 0/0 counts as 0.

    Unlike RelL1 it weighs a weight by its size, so that many tiny weights do not decide it.

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
        value=relative(total(norms.values()), total(sizes.values())),
        tensors={name: relative(norms[name], sizes[name]) for name, tensor in weights.items() if tensor.numel()},
        norms=norms,
    )
