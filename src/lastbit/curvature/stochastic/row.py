"""One measurement over batches: batch sharpness beside the edge of small batches, with gradient noise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from lastbit.curvature.sharpness import BATCH_MEANS, BATCH_NUMBERS, EDGE
from lastbit.curvature.stochastic.estimates import UNKNOWN, BatchMean


@dataclass(frozen=True, kw_only=True, repr=False)
class BatchRow:
    """Curvature along the gradients of batches, and the noise of these gradients.

    Batch sharpness is E g'H_B g / |g|^2, the mean over batches B of each one's own curvature along its own gradient
    (Andreyev and Beneventano 2024, arXiv 2412.20553: the mean of the ratios, not the ratio of the means). Training with
    small batches turns unstable where it reaches `edge`. With coupled weight decay and a preconditioner, g and H are
    those that the optimizer sees (see `Coordinates`). Intervals hold 95 %; they count the draw of the batches alone.
    """

    step: int | None = None  # updates of the optimizer so far
    samples: int  # of a batch
    batches: int  # measured
    estimate: BatchMean  # batch sharpness
    largest: BatchMean = UNKNOWN  # mean over some batches of H_B's largest eigenvalue: a lower bound by Lanczos
    interaction: BatchMean = UNKNOWN  # tr(H C) / tr(C), C = E gg', H of other batches (Lee and Jang 2023)
    noise: BatchMean = UNKNOWN  # trace of the covariance of g
    signal_to_noise: BatchMean = UNKNOWN  # |E g|^2 / that trace
    edge: float = math.nan  # of small batches: the smallest among the parameter groups; NaN: not known
    matvecs: int = 0  # Hessian-vector products of batches
    seconds: float = math.nan  # wall time
    note: str = ""  # what does not hold, and what is known all the same

    @property
    def sharpness(self) -> float:
        """Batch sharpness."""
        return self.estimate.value

    @property
    def lower(self) -> float:
        """The lower end of its interval."""
        return self.estimate.lower

    @property
    def upper(self) -> float:
        """The upper end of its interval."""
        return self.estimate.upper

    @property
    def normalised(self) -> float:
        """Batch sharpness / edge * 2, so that 2 is the edge of small batches."""
        return EDGE * self.sharpness / self.edge

    @property
    def diverged(self) -> bool:
        """Whether weights, gradients or curvature are no finite numbers."""
        return self.batches > 0 and not math.isfinite(self.sharpness)

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, for JSON and tables: an estimate as `value`, `lower` and `upper`."""
        derived = {name: getattr(self, name) for name in (*BATCH_NUMBERS, "diverged")}
        kept = {name: value for name, value in asdict(self).items() if name != "estimate" and value is not None}
        return kept | derived

    def scalars(self) -> dict[str, float]:
        """What a chart against the step shows, by name."""
        own = {f"batch_{name}": float(getattr(self, name)) for name in BATCH_NUMBERS}
        means = {f"batch_{name}": getattr(self, name).value for name in BATCH_MEANS}
        return own | means

    def __repr__(self) -> str:
        shown = {} if self.step is None else {"step": f"{self.step:,}"}
        shown["batches"] = f"{self.batches} of {self.samples}"
        shown["batch sharpness"] = f"{self.sharpness:.4g} ({self.lower:.4g} to {self.upper:.4g})"
        shown |= {} if math.isnan(self.edge) else {"edge": f"{self.edge:.4g}", "normalised": f"{self.normalised:.4g}"}
        numbers = {name: getattr(self, name).value for name in BATCH_MEANS}
        shown |= {name.replace("_", " "): f"{value:.4g}" for name, value in numbers.items() if not math.isnan(value)}
        shown |= {"note": self.note} if self.note else {}
        return f"<BatchRow: {', '.join(f'{name} {text}' for name, text in shown.items())}>"
