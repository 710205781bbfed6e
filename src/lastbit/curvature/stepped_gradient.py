"""The gradient that an optimizer steps, compared with the monitored loss's: do the two have the same edge?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from lastbit.curvature.loss.parameters import flatten_slopes
from lastbit.curvature.sharpness import SharpnessRow

EXACT = 1e-6  # of 1 - cosine: the same gradient but for a factor, rounded
_NEAR = 1e-3  # the same, in narrow precision, where the factor is constant over rows
_FACTOR = 0.01  # from 1, from which on it is reported
_ENTRIES = 3  # fewer point the same way by chance
_ROWS = 3  # where one row cannot decide
_MORE = 1.5  # times the monitored gradient, on average over batches, from which on it is reported
_SPREAD = 3.0  # standard errors
_ALIKE = 1e-4  # relative spread of norms after clipping
_CHANGED = (
    "running statistics of batch normalisation lag behind or dropout is left out (mode='eval' measures the network "
    "as it evaluates)"
)


@dataclass(frozen=True)
class SteppedGradient:
    """The gradient at a step, and that of the monitored loss at the same weights; NaN where one is zero or infinite."""

    ratio: float  # of their norms
    cosine: float
    norm: float  # of the stepped one
    entries: int

    @property
    def along(self) -> float:
        """The stepped gradient's part along the monitored one, relative to it."""
        return self.ratio * self.cosine


def stepped_gradient(monitored: Tensor, parameters: Iterable[nn.Parameter]) -> SteppedGradient:
    """Compare what `.grad` holds with the gradient of the monitored loss, flat."""
    parameters = list(parameters)
    slopes = [None if p.grad is None else p.grad.to_dense() if p.grad.is_sparse else p.grad for p in parameters]
    own = flatten_slopes(slopes, parameters, torch.float64)
    wanted = monitored.double().to(own.device)
    norm, length = float(own.norm()), float(wanted.norm())
    usable = 0 < norm < math.inf and 0 < length < math.inf
    cosine = float((own / norm) @ (wanted / length)) if usable else math.nan
    return SteppedGradient(norm / length if usable else math.nan, cosine, norm, own.numel())


def stepped_factor(seen: Sequence[SteppedGradient]) -> float | None:
    """The factor between stepped and monitored gradient in the last step; None where it cannot be determined.

    One row is enough where both point the same way but for rounding, as in training on the monitored data; otherwise
    several rows must have nearly the same direction and a constant factor.
    """
    last = seen[-1]
    if last.cosine > 1 - EXACT and last.entries >= _ENTRIES:
        return last.ratio
    rows = seen[-_ROWS:]
    if len(rows) == _ROWS and all(row.cosine > 1 - _NEAR for row in rows) and _spread([r.ratio for r in rows]) < 0.02:
        return last.ratio
    return None


class Comparisons:
    """The comparisons of one training so far."""

    def __init__(self) -> None:
        self._seen: list[SteppedGradient] = []
        self._step = 0  # of the last one
        self._changed = False

    def add(self, step: int, compared: SteppedGradient, changed: bool) -> None:
        """Add a comparison at a step.

        Args:
            step: updates so far.
            compared: the two gradients.
            changed: whether training ran modules in a mode in which they compute something else.
        """
        self._seen.append(compared)
        self._step, self._changed = step, changed

    def note(self, row: SharpnessRow) -> str:
        """What the comparisons up to a row say of its edge; the edge itself, where the row was compared."""
        note = noted(self._seen, self._changed)
        if note and row.step != self._step:
            return f"at step {self._step}, the last at which it was compared: {note}"
        factor = stepped_factor(self._seen) if note else None
        if factor:
            note += (
                f", so that this loss's edge is about {row.edge / factor:.4g}, and normalised "
                f"{factor * row.normalised:.4g}"
            )
        return note


def training_differs(*roots: object) -> bool:
    """Whether a module is in training mode that computes something else in evaluation mode."""
    modules = (module for root in roots if isinstance(root, nn.Module) for module in root.modules())
    return any(module.training and isinstance(module, _BatchNorm | _DropoutNd) for module in modules)


def noted(seen: Sequence[SteppedGradient], changed: bool = False) -> str:
    """A note on the gradients stepped so far, above all the last; empty where there is nothing to report.

    Gradients of other batches than the monitored one differ from its gradient in length and direction, so of these
    only what an average over rows shows by three standard errors is reported. Where evaluation changes the network
    (`changed`), that is the likeliest reason for another length.
    """
    if not seen or math.isnan(seen[-1].cosine):
        return ""
    factor = stepped_factor(seen)
    if factor is not None:
        return "" if abs(factor - 1) <= _FACTOR else _reported(factor, changed and seen[-1].cosine <= 1 - EXACT)
    rows = [row for row in seen if not math.isnan(row.cosine)]
    if len(rows) < _ROWS:
        return ""
    others = max(_spread([row.norm / row.ratio for row in rows]), _spread([row.cosine for row in rows]))
    if _spread([row.norm for row in rows]) < _ALIKE and others > 100 * _ALIKE:
        return (
            f"the stepped gradient has the norm {rows[-1].norm:.4g} at every row, as where it is clipped; the edge is "
            "that of steps that are not"
        )
    parts = [row.along for row in rows]
    mean, doubt = statistics.fmean(parts), _SPREAD * statistics.stdev(parts) / math.sqrt(len(parts))
    alike = statistics.median(abs(row.cosine) for row in rows) > 0.5
    if alike and mean - doubt > _MORE:
        return (
            f"along the monitored loss's gradient the stepped one is {mean:.2g} times as long on average, as where "
            f"{_CHANGED + ', ' if changed else ''}accumulated gradients are added up, the loss is scaled, or the "
            "monitored data are fitted better than the others"
        )
    if alike and mean + doubt < 0 and not changed:
        return "the stepped gradient points against that of the monitored loss: something else is minimised"
    return ""


def _reported(factor: float, changed: bool) -> str:
    likely = "accumulated gradients that are added up, or a scaled loss" if factor > 1 else "clipping or a scaled loss"
    likely = f"{_CHANGED}, or {likely}" if changed else likely
    return f"the stepped gradient is {factor:.4g} times that of the monitored loss ({likely})"


def _spread(values: Sequence[float]) -> float:
    """Largest relative difference."""
    return (max(values) - min(values)) / max(map(abs, values)) if any(values) else math.inf
