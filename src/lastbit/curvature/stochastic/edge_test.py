"""Which edge a training stands at, from its own record: what was measured, and its loss after a raise of the rate.

Two questions that a loss curve alone cannot answer. Where do sharpness and batch sharpness stand, each against its own
edge? And is a rise of the loss an instability or noise? An unstable training is thrown off by a rate a few percent
higher: the loss is catapulted, and comes back at a lower curvature. A stable one goes on with the noise that it had. So
the peak of the loss after a raise is compared with the peaks of equally long stretches before it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.curvature.sharpness import EDGE, SharpnessRow
from lastbit.curvature.stochastic.estimates import BatchMean, mean_of
from lastbit.errors import LastbitError

NEAR = 0.1  # of an edge: what counts as standing at it
_LAST = 3  # the last third of the rows counts
_FEWEST = 3  # rows, of which something can be said
_STRETCHES, _MOST_STRETCHES = 5, 40  # before a raise: so many at least, and at most
_SMOOTHED = 10  # parts of a stretch over each of which the loss is averaged
_FALSE_ALARM = 0.01  # of a stable training


@dataclass(frozen=True)
class Raise:
    """The loss after a raise of the learning rate, beside the stretches before it."""

    step: int
    peak: float  # of the smoothed loss in the stretch after it / mean of the stretch before; infinite where it diverged
    bound: float  # that a further stretch without a raise exceeds with a probability of 1 %
    stretches: int  # before the raise, from which the bound comes
    length: int  # steps of a stretch

    @property
    def catapulted(self) -> bool:
        """Whether the loss rose by more than noise explains."""
        return self.peak > self.bound

    def sentence(self) -> str:
        """The result in words."""
        rose = (
            "went beyond all numbers" if math.isinf(self.peak) else f"peaked at {self.peak:.3g} times its mean before"
        )
        stretch = f"{self.stretches} stretches of {self.length} steps before the raise allow {self.bound:.3g}"
        if self.catapulted:
            return f"after the raise at step {self.step:,} the loss {rose}, and {stretch}: an instability, not noise"
        return f"after the raise at step {self.step:,} the loss {rose}, and {stretch}: no more than without a raise"


@dataclass(frozen=True)
class EdgeTest:
    """Where a training stands, over the last third of its rows."""

    place: str  # "full-batch edge", "stochastic edge", "below", or "not known"
    sharpness: float  # normalised, the median; NaN: not measured
    batch: BatchMean | None  # normalised batch sharpness: the mean over rows, and its interval; None: not measured
    rows: int
    raised: Raise | None = None  # None where no raise was to be judged

    def sentence(self) -> str:
        """The result in words."""
        if self.rows < _FEWEST:
            verdict = f"where training stands is not known: {_FEWEST} measurements are needed, and it has {self.rows}"
        else:
            verdict = f"{_PLACES[self.place]}: {', '.join(self._stands())}, where 2 is each one's edge"
        return f"{verdict}; {self.raised.sentence()}" if self.raised else verdict

    def _stands(self) -> list[str]:
        stands = [] if math.isnan(self.sharpness) else [f"sharpness at {self.sharpness:.3g}"]
        if self.batch is None:
            return [*stands, "batch sharpness not known"]
        span = "" if math.isnan(self.batch.lower) else f" ({self.batch.lower:.3g} to {self.batch.upper:.3g})"
        return [*stands, f"batch sharpness at {self.batch.value:.3g}{span}"]


_PLACES = {
    "full-batch edge": "training is at the edge of full batches",
    "stochastic edge": "training is at the stochastic edge, below that of full batches",
    "below": "training is below both edges",
    "not known": "training is below the edge of full batches, and where it stands to that of small ones is not known",
}


def edge_test(
    rows: Sequence[SharpnessRow], *, losses: Sequence[float] = (), raised_at: int | None = None, near: float = NEAR
) -> EdgeTest:
    """Say at which edge a training stands, and whether a raise of its learning rate threw it off.

        test = lb.curvature.edge_test(monitor.rows, losses=losses, raised_at=2000)
        print(test.sentence())

    Training is at an edge if the quantity that belongs to it stands within a tenth of it: the median of the sharpness
    at that of full batches, or, where the sharpness is lower, the interval of mean batch sharpness at that of small
    ones.

    Args:
        rows: those of `SharpnessMonitor(..., batch_sharpness=...)`, in the order of the steps.
        losses: of every step, before its update: that of its batch will do.
        raised_at: the index among them of the first step after the raise.
        near: the largest distance from an edge, relative to it.

    Raises:
        LastbitError: `near` is out of range, or too few steps lie before or after the raise.
    """
    if not 0 < near < 1:
        raise LastbitError(f"near={near} is not allowed; give a part of the edge between 0 and 1, such as 0.1")
    raised = None if raised_at is None else _raised(np.asarray(losses, dtype=np.float64), raised_at)
    last = rows[-(-len(rows) * (_LAST - 1) // _LAST) :]
    full = [row.normalised for row in last if math.isfinite(row.normalised)]
    batches = [float(row.batch["normalised"]) for row in last if row.batch is not None]
    batches = [value for value in batches if math.isfinite(value)]
    sharpness = statistics.median(full) if full else math.nan
    batch = mean_of(np.array(batches)) if batches else None
    place = _place(sharpness, batch, EDGE * (1 - near))
    return EdgeTest(place, sharpness, batch, max(len(full), len(batches)), raised)


def _place(sharpness: float, batch: BatchMean | None, least: float) -> str:
    if sharpness >= least:
        return "full-batch edge"
    if batch is None:
        return "not known"
    highest = batch.value if math.isnan(batch.upper) else batch.upper
    return "stochastic edge" if highest >= least else "below"


def _raised(losses: NDArray[np.float64], step: int) -> Raise:
    """Judge the loss after a raise by equally long stretches before it.

    Raises:
        LastbitError: too few steps lie before or after it.
    """
    after = len(losses) - step
    length = min(after, step // (_STRETCHES + 1))
    if not 0 < step < len(losses) or length < 2:
        raise LastbitError(
            f"raised_at={step} of {len(losses)} losses: give at least two after the raise, and {_STRETCHES + 1} times "
            "as many before it"
        )
    count = min(step // length, _MOST_STRETCHES + 1)
    stretches = losses[step - count * length : step + length].reshape(count + 1, length)
    if not np.isfinite(stretches[:-1]).all() or (stretches[:-1].mean(1) <= 0).any():
        raise LastbitError("the losses before the raise are not finite and positive, so that nothing can be compared")
    peaks = [_peak(after) / before.mean() for before, after in itertools.pairwise(stretches)]
    known = np.log(np.array(peaks[:-1]))
    dof = len(known) - 1
    reach = float(special.stdtrit(dof, 1 - _FALSE_ALARM)) * float(known.std(ddof=1)) * math.sqrt(1 + 1 / len(known))
    return Raise(step, peaks[-1], math.exp(float(known.mean()) + reach), len(known), length)


def _peak(stretch: NDArray[np.float64]) -> float:
    """The largest mean over a tenth of a stretch; infinite where the loss is not finite."""
    parts = np.array_split(stretch, min(_SMOOTHED, len(stretch)))
    with np.errstate(all="ignore"):
        return max(float(part.mean()) if np.isfinite(part).all() else math.inf for part in parts)
