"""The interface of a model that can be simulated: the one-layer network and its linearisations have it."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.pde.correlation import Correlation
from lastbit.pde.linearisation import Evaluation, Linearisation
from lastbit.pde.spectrum import Spectrum

Array = NDArray[np.floating]


class Model(Protocol):
    """A loss of a kernel under weight decay."""

    @property
    def kernel(self) -> int:
        """W, the side of the kernel."""

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The precision everything is computed in."""

    @property
    def correlation(self) -> Correlation:
        """The correlation with the image."""

    @property
    def saturating(self) -> bool:
        """Whether the data's pull on the kernel is bounded, so that only weight decay can drive a blow-up."""

    def astype(self, dtype: DTypeLike) -> Self:
        """Return the model in another precision."""

    def linearisations(self) -> tuple[Linearisation, ...]:
        """Return the linear PDEs that the model passes through."""

    def evaluate(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Evaluation:
        """Return loss, gradient and responses."""

    def loss_and_gradient(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return the loss and the gradient alone, which is faster for a batch of kernels."""

    def shares(self, response: Array) -> Array:
        """Return the shares of positions activated, transitioning and not activated, shape (..., 3)."""

    def hessian_extremes(self, kernel: ArrayLike, weight_decay: float = 0.0, start: Spectrum | None = None) -> Spectrum:
        """Return the extreme modes of the Hessian at a kernel (W, W), starting from a nearby spectrum if given."""
