"""How large the perturbation of one update is, relative to the update (Table 1, right)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lastbit.noise import Scale, perturb

_DRAWS = 100_000


def largest_perturbation(dtype: torch.dtype, ks: Sequence[int]) -> float:
    """The largest relative difference between the perturbed and the plain update of a weight, over ks and directions.

    A weight of 0 at learning rate 1 becomes the negated update itself, -(d / k) k with both roundings. Its difference
    from -d is exact in floating point, since the two are neighbours (Sterbenz' lemma).

    Args:
        dtype: of weights and gradients.
        ks: of the perturbed updates.
    """
    direction = torch.randn(_DRAWS, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return max(float(_relative(direction, k).max()) for k in ks)


def _relative(direction: torch.Tensor, k: int) -> torch.Tensor:
    weights = torch.zeros_like(direction).requires_grad_()
    weights.grad = direction.clone()
    perturb(torch.optim.SGD([weights], lr=1.0), Scale(k)).step()
    return ((weights.detach() + direction).abs() / direction.abs()).double()
