"""The factor by which a linear run's updates grow in a step, to hold against its amplification factor."""

from __future__ import annotations

import numpy as np

from lastbit.pde.classification import rounding_level
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.momentum import Momentum
from lastbit.pde.simulation import Simulation


def growth_factor(run: Simulation) -> float:
    """Return exp of the slope of log |d_n| over the last half of the run's updates above rounding level.

    The updates d_n of a linear PDE obey it without its source, so that in the end the mode of largest amplification
    factor |A| is left, and this is |A|. Over a finite run it is the better an estimate the further apart the factors
    are. NaN where fewer than four updates are above rounding.
    """
    above = np.flatnonzero(run.step_length > rounding_level(run.norm, run.kernel.dtype))
    late = above[len(above) // 2 :]
    if len(late) < 2:
        return float("nan")
    return float(np.exp(np.polyfit(late, np.log(run.step_length[late]), 1)[0]))


def predicted_factor(linear: Linearisation, scheme: Momentum, *, window: str, lr: float, weight_decay: float) -> float:
    """Return max |A| over the modes of a linear PDE: with momentum, of the larger root of each mode's polynomial.

    The larger modulus is a quasi-convex function of the gain for each scheme, so that an end of the spectrum has it.

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
