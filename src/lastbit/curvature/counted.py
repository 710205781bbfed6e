"""A symmetric matrix that counts its products."""

from __future__ import annotations

import torch
from torch import Tensor

from lastbit.curvature.operator import CurvatureOperator


class Counted:
    """A curvature operator, or a matrix of torch's, with the number of products taken so far."""

    def __init__(self, operator: CurvatureOperator | Tensor) -> None:
        self._operator = operator
        self.size = int(operator.shape[0])
        self.products = 0

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self._operator @ vector

    def empty(self, rows: int) -> Tensor:
        """Room for that many vectors."""
        return torch.empty(rows, self.size, dtype=self._operator.dtype, device=self._operator.device)

    def random_direction(self, generator: torch.Generator) -> Tensor:
        """A direction that is uniform on the sphere, drawn on the processor."""
        drawn = torch.randn(self.size, generator=generator, dtype=self._operator.dtype, device=generator.device)
        return drawn.to(self._operator.device)
