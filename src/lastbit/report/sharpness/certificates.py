"""What the measurements of a series do and do not prove, in words."""

from __future__ import annotations

from lastbit.report.account import Standing
from lastbit.report.numbers import scientific
from lastbit.report.pde.significant import significant
from lastbit.report.sharpness.stored import Row, Series, diverged_at, measured


def standings(series: Series) -> list[Standing]:
    """What speaks for or against the numbers."""
    return [*_convergence(series), *_divergence(series), *_circumstances(series)]


def _convergence(series: Series) -> list[Standing]:
    rows = measured(series)
    loose = [row for row in rows if not row["converged"]]
    if not rows:
        return []
    if loose:
        found = (
            f"{len(loose)} of {len(rows)} measurements ran out of products before their error bound was small: it is "
            f"up to {scientific(max(map(_error, loose)))} of the sharpness."
        )
        return [Standing("doubt", found)]
    found = (
        f"Every value is within {scientific(max(map(_error, rows)))} of its upper bound, relative to it; "
        f"{sum(row['matvecs'] for row in rows):,} Hessian-vector products for {len(rows)} measurements."
    )
    return [Standing("passed", found)]


def _error(row: Row) -> float:
    """The distance to the upper bound, relative to the value."""
    return float((row["upper"] - row["sharpness"]) / abs(row["sharpness"]))


def _divergence(series: Series) -> list[Standing]:
    step = diverged_at(series)
    return (
        [] if step is None else [Standing("doubt", f"The training diverged: its loss is not finite at step {step:,}.")]
    )


def _circumstances(series: Series) -> list[Standing]:
    said = []
    if not series["full_batch"]:
        said.append(
            f"Training steps use batches, and the sharpness is that of {series['measured_images']:,} fixed training "
            "images without augmentation. The edge is that of steps without noise: with it, training can be unstable "
            "below."
        )
    if series["batch_norm"]:
        said.append(
            "Measured in eval mode, with batch normalisation’s running statistics: in training mode the loss is no "
            "mean over images. Early in training those statistics lag behind."
        )
    return [Standing("cut", text) for text in said]


def method(series: Series) -> list[str]:
    """Paragraphs on what each measurement certifies."""
    rows = measured(series)
    probes = [row for row in rows if row["probed"]]
    missed = significant(100 * max((row["miss_probability"] for row in rows), default=1.0), 2)
    return [
        "The sharpness is the largest eigenvalue of the training loss’s Hessian, with coupled weight decay, and for an "
        "adaptive optimizer with its present preconditioner. On a quadratic loss a step is stable along an eigenvector "
        "just where its eigenvalue is below the edge.",
        "Each value is a Rayleigh quotient, so that the largest eigenvalue is certainly no smaller, up to rounding; "
        "and an eigenvalue certainly lies within the residual ‖Hv − λv‖ of it. That the edge is reached is therefore "
        "certain wherever it is said. The upper bound is the value plus the residual, or where that is less, about the "
        "residual’s square over the gap to the other eigenvalues, which is estimated with a margin.",
        "That no larger eigenvalue was missed can only be made unlikely: a search from a random start misses one that "
        f"lies a tenth of the spectrum’s width above with a probability of {missed} % at most. "
        f"{len(probes)} of these {len(rows)} measurements made such a search; between two of them a top "
        "eigenvalue that rises at right angles to all that is followed can go unseen. That the sharpness stays below "
        "the edge is said with that reservation.",
    ]
