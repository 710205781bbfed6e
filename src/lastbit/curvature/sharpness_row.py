"""One measurement of a monitored training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lastbit.curvature.edge import Edge
from lastbit.curvature.sharpness import Sharpness
from lastbit.curvature.stepped_gradient import SteppedGradient


@dataclass(frozen=True)
class SharpnessRow:
    """Loss, sharpness and edge after an update; what is known of the error is explained at `Sharpness`."""

    step: int  # updates of the optimizer so far
    loss: float  # mean over the monitored data, in `mode`
    sharpness: float  # largest eigenvalue; NaN where diverged
    normalised: float  # sharpness / edge * 2, so that 2 is the edge; 0 at lr 0
    edge: float  # the smallest of `edges`; infinite at lr 0
    residual: float  # ||Hv - sharpness v||
    lower: float
    upper: float
    converged: bool  # every upper bound within the tolerance of its value
    matvecs: int  # Hessian-vector products
    seconds: float  # wall time of all of it
    values: tuple[float, ...]  # the k largest eigenvalues, in descending order
    residuals: tuple[float, ...]  # of each, (k,)
    uppers: tuple[float, ...]  # of each, (k,)
    edges: tuple[float, ...]  # of each parameter group that is measured
    mode: str  # "eval": measured in evaluation mode, whatever the training's; "as is": in the modes it found
    diverged: bool  # weights, loss or curvature are no finite numbers: the last row of its series
    stepped_ratio: float = math.nan  # norm of the stepped gradient / of the monitored loss's; NaN: not compared
    stepped_cosine: float = math.nan  # of the angle between the two
    note: str = ""  # what the two say of the edge, where it is not the stepped gradient's

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, for JSON and tables."""
        return asdict(self)

    def scalars(self) -> dict[str, float]:
        """What a chart against the step shows, by name: `value_2` and on are the further eigenvalues.

        `stepped_ratio` and `stepped_cosine` are left out where they are not known.
        """
        names = ("loss", "sharpness", "normalised", "edge", "residual", "lower", "upper", "matvecs", "seconds")
        further = {f"value_{place}": value for place, value in enumerate(self.values[1:], 2)}
        compared = () if math.isnan(self.stepped_ratio) else ("stepped_ratio", "stepped_cosine")
        return {name: float(getattr(self, name)) for name in (*names, *compared)} | further


def row(
    step: int,
    loss: float,
    sharpness: Sharpness,
    edges: Sequence[Edge],
    *,
    mode: str,
    seconds: float,
    compared: SteppedGradient | None = None,
    note: str = "",
    factor: float | None = None,
) -> SharpnessRow:
    """Put a measurement beside the edges that bound it.

    Args:
        step: updates so far.
        loss: of the monitored data.
        sharpness: the measurement.
        edges: of the parameter groups.
        mode: of the measurement.
        seconds: that it took.
        compared: the gradient that was stepped, where it was looked at.
        note: what is known of it by now.
        factor: by which it is longer than the monitored loss's, where that is told.
    """
    nearest = min(edges, key=lambda edge: edge.value)
    if note and factor:
        note += (
            f", so that this loss's edge is about {nearest.value / factor:.4g}, and normalised "
            f"{factor * nearest.normalised(sharpness.value):.4g}"
        )
    return SharpnessRow(
        step=step,
        loss=loss,
        sharpness=sharpness.value,
        normalised=nearest.normalised(sharpness.value),
        edge=nearest.value,
        residual=sharpness.residual,
        lower=sharpness.lower,
        upper=sharpness.upper,
        converged=sharpness.converged,
        matvecs=sharpness.matvecs,
        seconds=seconds,
        values=sharpness.values,
        residuals=sharpness.residuals,
        uppers=sharpness.uppers,
        edges=tuple(edge.value for edge in edges),
        mode=mode,
        diverged=sharpness.diverged or not math.isfinite(loss),
        stepped_ratio=math.nan if compared is None else compared.ratio,
        stepped_cosine=math.nan if compared is None else compared.cosine,
        note=note,
    )
