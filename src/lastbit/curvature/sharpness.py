"""The result of a sharpness measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalues of a training loss's Hessian, with what is known of their error.

    `residual` certifies: an eigenvalue lies within it of `value` (Weyl's theorem; for symmetric matrices of any
    spectrum). `lower` certifies too: no Rayleigh quotient exceeds the largest eigenvalue.

    `upper` holds under two conditions that no small number of products can certify. First, the eigenvalue near `value`
    is the largest; `probed` and `miss_probability` say how well that was checked, in this measurement or the last that
    did. Then value + residual is an upper bound. Second, where `upper` is below that, it is about value +
    residual^2 / gap, and the gap to the other eigenvalues is taken from recycled eigenvectors with a margin (see
    `lastbit.curvature.bound`). Rounding in the products, about their type's unit times the largest modulus, comes on
    top.
    """

    value: float  # Rayleigh quotient of the unit vector v; NaN for a diverged model
    residual: float  # ||Hv - value v||, the 2-norm
    lower: float  # <= largest eigenvalue
    upper: float  # >= largest eigenvalue under the conditions above; at most value + residual
    values: tuple[float, ...]  # the k largest, in descending order; value is the first
    residuals: tuple[float, ...]  # of each, (k,)
    uppers: tuple[float, ...]  # of each, (k,); upper is the first
    matvecs: int  # Hessian-vector products spent, those of probes included
    seconds: float  # wall time, that of the gradient graph included
    converged: bool  # every upper bound within the tolerance of its value
    probed: int  # products of this measurement's random probe; 0 if it had none
    probe_age: int  # measurements since the last probe
    miss_probability: float  # that the last probe missed an eigenvalue a tenth of the spectrum's width above its best

    @property
    def diverged(self) -> bool:
        """Whether the weights or the curvature are no finite numbers."""
        return not math.isfinite(self.value)


def diverged(k: int, matvecs: int, seconds: float) -> Sharpness:
    """The mark of a model whose weights or curvature are not finite."""
    nan = math.nan
    nans = (nan,) * k
    return Sharpness(nan, nan, nan, nan, nans, nans, nans, matvecs, seconds, False, 0, 0, 1.0)
