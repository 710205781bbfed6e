"""Amplification factors: of each frequency in a step of a linear PDE (theorem 5.3), and measured over a run.

With a kernel as large as the image and circular correlation each DFT coefficient is multiplied by its amplification
factor (eq. 13). A window of W x W entries cuts the force, which is a convolution in frequency space (eq. 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.classification import rounding_level
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.momentum import Momentum
from lastbit.pde.simulation import Simulation

Array = NDArray[np.floating]
Coefficients = NDArray[np.complexfloating]


@dataclass(frozen=True, eq=False)
class FrequencyStep:
    """The unnormalised DFTs, all (N, N), of a kernel with zeros around its window, before and after a step."""

    before: Coefficients
    after: Coefficients
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
    """Take a step of gradient descent, and predict it by eq. 12 and eq. 13.

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
    """The circular convolution of two spectra over N^2, as the sum of eq. 12 rather than by another transform."""
    size = len(a)
    shift = (np.arange(size)[:, None] - np.arange(size)) % size
    total: Coefficients = np.einsum("uvij,vj->ui", a[shift[:, :, None, None], shift[None, None]], b) / size**2
    return total


def _relative(error: Coefficients, reference: Coefficients) -> float:
    return float(np.linalg.norm(error) / np.linalg.norm(reference))


def growth_factor(run: Simulation) -> float:
    """Return exp of the slope of log |d_n| over the last half of the run's updates above rounding level.

    The updates d_n of a linear PDE obey the PDE without its source, so in the end only the mode with the largest
    amplification factor |A| is left, and the slope gives |A|. The estimate from a finite run is better the further
    apart the factors are. NaN if fewer than four updates are above rounding level.
    """
    above = np.flatnonzero(run.step_length > rounding_level(run.norm, run.kernel.dtype))
    late = above[len(above) // 2 :]
    if len(late) < 2:
        return float("nan")
    return float(np.exp(np.polyfit(late, np.log(run.step_length[late]), 1)[0]))


def predicted_factor(linear: Linearisation, scheme: Momentum, *, window: str, lr: float, weight_decay: float) -> float:
    """Return max |A| over the modes of a linear PDE: with momentum, of the larger root of each mode's polynomial.

    The larger modulus is a quasi-convex function of the gain for each scheme, so an end of the spectrum has the
    largest.

    Args:
        linear: the linear PDE.
        scheme: plain descent or momentum.
        window: "infinite", "pixel" or "exact", see `Linearisation.spectrum`.
        lr: the learning rate.
        weight_decay: alpha.
    """
    spectrum = linear.spectrum(window)
    ends = np.array([spectrum.lowest.value, spectrum.highest.value])
    return float(scheme.amplification(lr * (weight_decay + ends)).max())
