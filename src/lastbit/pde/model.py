"""What a simulation asks of a model: the one-layer network and each of its linearisations answer alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.pde.spectrum import Spectrum

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's loss, gradient and responses at a batch of kernels (..., W, W)."""

    loss: Array  # (...), weight decay included
    gradient: Array  # (..., W, W), weight decay included
    response: Array  # (..., U): z = I * K at the U distinct output positions


class Model(Protocol):
    """A loss of a kernel under weight decay."""

    @property
    def kernel(self) -> int:
        """W, the side of the kernel."""

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The precision it is computed in."""

    @property
    def saturating(self) -> bool:
        """Whether the data's pull on the kernel is bounded, so that only weight decay can drive a blow-up."""

    def astype(self, dtype: DTypeLike) -> Self:
        """Return the model in another precision."""

    def evaluate(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Evaluation:
        """Return loss, gradient and responses."""

    def shares(self, response: Array) -> Array:
        """Return the shares of positions activated, transitioning and not activated, shape (..., 3)."""

    def hessian_extremes(self, kernel: ArrayLike, weight_decay: float = 0.0, start: Spectrum | None = None) -> Spectrum:
        """Return the extreme modes of the Hessian at a kernel (W, W), from a neighbour's spectrum if given."""
