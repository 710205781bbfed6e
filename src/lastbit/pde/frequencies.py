"""A forward Euler step of a linear PDE, in frequencies: what the theory says, and what the step does (theorem 5.3).

With a kernel as large as the image and circular correlation each DFT coefficient is multiplied by its amplification
factor (eq. 13). A window of W x W entries cuts the force, which in frequencies is a convolution (eq. 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.linearisation import Linearisation

Array = NDArray[np.floating]
Coefficients = NDArray[np.complexfloating]


@dataclass(frozen=True, eq=False)
class FrequencyStep:
    """The unnormalised DFTs, all (N, N), of a kernel with zeros around its window, before and after a step."""

    before: Coefficients
    after: Coefficients  # what the step does
    multiplied: Coefficients  # eq. 13: the amplification factor times `before`, less the source at frequency 0
    convolved: Coefficients  # eq. 12: the force convolved with the window's DFT

    @property
    def multiplied_error(self) -> float:
        """|after - multiplied| relative to the change |after - before|."""
        return _relative(self.after - self.multiplied, self.after - self.before)

    @property
    def convolved_error(self) -> float:
        """|after - convolved| relative to the change |after - before|."""
        return _relative(self.after - self.convolved, self.after - self.before)


def frequency_step(linear: Linearisation, kernel: ArrayLike, *, lr: float, weight_decay: float) -> FrequencyStep:
    """Take a step, and predict it.

    Args:
        linear: a linear PDE with circular correlation.
        kernel: (W, W).
        lr: the learning rate.
        weight_decay: alpha.

    Raises:
        LastbitError: the correlation is not circular: it then has no symbol.
    """
    if linear.correlation.boundary != "circular":
        raise LastbitError(f"only a circular correlation has a symbol, not a {linear.correlation.boundary} one")
    k = np.asarray(kernel, np.float64)
    size = len(linear.correlation.image)
    before = _transform(k, size)
    after = _transform(k - lr * linear.evaluate(k, weight_decay).gradient, size)
    force = linear.symbol() * before
    force[0, 0] += linear.source * linear.scale * linear.correlation.image.sum() * size**2
    multiplied = before - lr * (force + weight_decay * before)
    convolved = before - lr * (_convolve(_transform(np.ones_like(k), size), force) + weight_decay * before)
    return FrequencyStep(before, after, multiplied, convolved)


def _transform(kernel: Array, size: int) -> Coefficients:
    coefficients: Coefficients = scipy.fft.fft2(kernel, s=(size, size))
    return coefficients


def _convolve(a: Coefficients, b: Coefficients) -> Coefficients:
    """The circular convolution of two spectra over N^2, summed as eq. 12 has it and not by another transform."""
    size = len(a)
    shift = (np.arange(size)[:, None] - np.arange(size)) % size
    total: Coefficients = np.einsum("uvij,vj->ui", a[shift[:, :, None, None], shift[None, None]], b) / size**2
    return total


def _relative(error: Coefficients, whole: Coefficients) -> float:
    return float(np.linalg.norm(error) / np.linalg.norm(whole))
