"""The right part of the paper's Table 1: how large the error of a gradient is, and what it does to test accuracy."""

from dataclasses import dataclass

from lastbit.report.metric import metric_of
from lastbit.report.numbers import MISSING, percent, scientific
from lastbit.report.source import source_of
from lastbit.report.stored import Study, roundoff_exponent


@dataclass(frozen=True)
class GradientTable:
    """The table as it is shown."""

    is_known: bool  # whether any gradient error is; of a script none is
    title: str
    rows: list[tuple[str, str, str]]  # source, relative gradient error, standard deviation of the metric
    note: str


def gradient_table(study: Study) -> GradientTable:
    """Set the arithmetic's roundoff against the fluctuation of gradients between batches."""
    fluctuation = study["gradient_fluctuation"]
    error = MISSING if fluctuation is None else f"{fluctuation:.2f}"
    rows = [
        (f"floating point ({source_of(study).name})", _roundoff(study), _std(study, "noise")),
        ("batch selection (batch order)", error, _std(study, "seed")),
    ]
    is_known = roundoff_exponent(study) is not None or fluctuation is not None
    return GradientTable(is_known, _title(study), rows, _note(study))


def _title(study: Study) -> str:
    exponent, fluctuation = roundoff_exponent(study), study["gradient_fluctuation"]
    share = study["std"]["noise_over_seed"]
    if exponent is None or fluctuation is None or share is None:
        return "How large the gradient's error is, and what it does"
    small, label = f"2^{exponent}", metric_of(study).label
    if share["value"] == 0:
        return f"A relative gradient error of {small} does not move {label}, one of {fluctuation:.2f} does"
    return (
        f"A relative gradient error of {small} moves {label} {percent(share['value'])} as far as one of "
        f"{fluctuation:.2f}"
    )


def _note(study: Study) -> str:
    roundoff = "The relative gradient error of floating point is the unit roundoff of the study’s number format"
    dtype = study["settings"].get("dtype")
    known = f"{roundoff}, {dtype}." if roundoff_exponent(study) is not None else f"{roundoff}, which is not recorded."
    batches = (
        "That of batch selection was not measured."
        if study["gradient_fluctuation"] is None
        else "That of batch selection is the mean over all weights of |g − ḡ| / |ḡ|, with g one batch’s gradient and ḡ "
        "the mean of several batches’ (median over epochs and unperturbed runs)."
    )
    return f"{known} {batches}"


def _roundoff(study: Study) -> str:
    exponent = roundoff_exponent(study)
    return MISSING if exponent is None else f"2^{exponent} ≈ {scientific(2.0**exponent)}"


def _std(study: Study, source: str) -> str:
    pooled = study["std"][source]["pooled"]
    return MISSING if pooled is None else metric_of(study).spread(pooled["std"])
