"""One measurement of sharpness: the largest eigenvalues with their error, beside the edge of stability."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

EDGE = 2.0  # of the normalised sharpness
BATCH_NUMBERS = ("sharpness", "lower", "upper", "normalised")  # of batch sharpness
BATCH_MEANS = ("largest", "interaction", "noise", "signal_to_noise")  # measured over batches beside batch sharpness
_DERIVED = ("sharpness", "residual", "lower", "upper", "edge", "normalised", "diverged")
_SCALARS = ("loss", "sharpness", "normalised", "edge", "residual", "lower", "upper", "matvecs", "seconds")


@dataclass(frozen=True, kw_only=True, repr=False)
class SharpnessRow:
    """The largest eigenvalues of a training loss's Hessian at a step, and what is known of their error.

    `residual` is a certificate: an eigenvalue lies within it of `sharpness` (Weyl's theorem; for symmetric matrices of
    any spectrum). So is `lower`: no Rayleigh quotient exceeds the largest eigenvalue.

    `upper` holds under two conditions that no small number of products can certify. First, the eigenvalue near
    `sharpness` is the largest; `probed` and `miss_probability` say how well that was checked, in this measurement or
    the last that did. Then sharpness + residual is an upper bound. Second, where `upper` is below that, it is about
    sharpness + residual^2 / gap, and the gap to the other eigenvalues is estimated from recycled eigenvectors with a
    margin (see `lastbit.curvature.eigenpairs`). Rounding in the products, about their type's unit times the largest
    modulus, comes on top.

    A tracker leaves `step`, `loss` and `mode` open; a monitor and `lastbit sharpness` fill them in.
    """

    step: int | None = None  # updates of the optimizer so far
    loss: float | None = None  # mean over the measured data, without weight decay
    values: tuple[float, ...]  # Rayleigh quotients of unit vectors v, the k largest first, (k,); NaN where diverged
    residuals: tuple[float, ...]  # ||Hv - value v|| of each, the 2-norm, (k,)
    uppers: tuple[float, ...]  # >= each eigenvalue under the conditions above, at most value + residual, (k,)
    edges: tuple[float, ...] = ()  # of each parameter group that is measured; empty without an optimizer
    converged: bool = False  # every upper bound is within the tolerance of its value
    matvecs: int = 0  # Hessian-vector products spent, those of probes included
    probed: int = 0  # products of this measurement's random probe; 0 if it had none
    probe_age: int = 0  # measurements since the last probe
    miss_probability: float = 1.0  # that the last probe missed an eigenvalue a tenth of the spectrum's width above
    seconds: float = math.nan  # wall time of all of it
    mode: str = ""  # "eval": measured in evaluation mode; "as is": in the modes that the modules were in
    stepped_ratio: float = math.nan  # norm of the stepped gradient / of the monitored loss's; NaN: not compared
    stepped_cosine: float = math.nan  # of the angle between the two
    note: str = ""  # what the two mean for the edge, where they differ
    # By the name of a layer, all other weights held fixed: `sharpness`, `residual` and `matvecs`.
    layers: Mapping[str, Mapping[str, int | float]] | None = None
    # Distance to the gradient flow: `time` (lr * step), `relative_l2`, `rel_l1`, and `evaluations` since the last row.
    flow: Mapping[str, int | float] | None = None
    # The central flow at this step: `loss`, `predicted_loss`, `normalised`, `variance` and `relative_l2`.
    central: Mapping[str, float] | None = None
    critical: Mapping[str, Any] | None = None  # `CriticalRow.as_dict()` of the step before
    batch: Mapping[str, Any] | None = None  # `BatchRow.as_dict()` at the same weights

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue: the first of `values`."""
        return self.values[0]

    @property
    def residual(self) -> float:
        """The first of `residuals`: an eigenvalue lies within it of the sharpness."""
        return self.residuals[0]

    @property
    def lower(self) -> float:
        """A lower bound on the largest eigenvalue: the sharpness, a Rayleigh quotient."""
        return self.values[0]

    @property
    def upper(self) -> float:
        """An upper bound on the largest eigenvalue under the conditions above: the first of `uppers`."""
        return self.uppers[0]

    @property
    def edge(self) -> float:
        """The smallest of `edges`: infinite at lr 0, NaN where there is none."""
        return min(self.edges, default=math.nan)

    @property
    def normalised(self) -> float:
        """Sharpness / edge * 2, so that 2 is the edge; 0 at lr 0, NaN without an optimizer."""
        return EDGE * self.sharpness / self.edge

    @property
    def diverged(self) -> bool:
        """Whether weights, loss or curvature are no finite numbers."""
        return not math.isfinite(self.sharpness) or not math.isfinite(self.loss or 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, for JSON and tables; what was not measured is left out."""
        derived = {name: getattr(self, name) for name in _DERIVED}
        return {name: value for name, value in (asdict(self) | derived).items() if value is not None}

    def scalars(self) -> dict[str, float]:
        """What a chart against the step shows, by name: `value_2` and on are the further eigenvalues.

        `stepped_ratio` and `stepped_cosine` are left out where they are not known.
        """
        further = {f"value_{place}": value for place, value in enumerate(self.values[1:], 2)}
        compared = () if math.isnan(self.stepped_ratio) else ("stepped_ratio", "stepped_cosine")
        if self.critical is not None:
            further |= {f"critical_{name}": float(self.critical[name]) for name in ("sharpness", "multiple")}
        if self.batch is not None:
            further |= {
                f"batch_{name}": float(self.batch[name]) for name in ("sharpness", "lower", "upper", "normalised")
            }
            further |= {f"batch_{name}": float(self.batch[name]["value"]) for name in BATCH_MEANS}
        names = [name for name in (*_SCALARS, *compared) if getattr(self, name) is not None]
        return {name: float(getattr(self, name)) for name in names} | further

    def __repr__(self) -> str:
        return f"<SharpnessRow: {', '.join(f'{name} {text}' for name, text in self._shown().items())}>"

    def _repr_html_(self) -> str:
        """A table of one row, for notebooks."""
        cells = {name: html.escape(text) for name, text in self._shown().items()}
        heads, values = (
            "".join(f"<{tag}>{cell}</{tag}>" for cell in row) for tag, row in (("th", cells), ("td", cells.values()))
        )
        return f"<table><tr>{heads}</tr><tr>{values}</tr></table>"

    def _shown(self) -> dict[str, str]:
        """The numbers that a person asks for first, by name."""
        shown = {} if self.step is None else {"step": f"{self.step:,}"}
        numbers = {"loss": self.loss, "sharpness": self.sharpness, "upper": self.upper}
        numbers |= {"edge": self.edge, "normalised": self.normalised} if self.edges else {}
        shown |= {name: f"{value:.4g}" for name, value in numbers.items() if value is not None}
        if self.batch is not None:
            batch = self.batch
            shown["batch sharpness"] = f"{batch['sharpness']:.4g} ({batch['lower']:.4g} to {batch['upper']:.4g})"
            shown["batch edge"] = f"{batch['edge']:.4g}"
        shown |= {"matvecs": str(self.matvecs), "converged": str(self.converged)}
        shown |= {} if self.critical is None else {"rate": str(self.critical["advice"])}
        return shown | ({"note": self.note} if self.note else {})


def diverged_row(k: int, **known: Any) -> SharpnessRow:
    """The row of a model whose weights, loss or curvature are not finite: NaN in place of k eigenvalues."""
    nans = (math.nan,) * k
    return SharpnessRow(values=nans, residuals=nans, uppers=nans, **known)
