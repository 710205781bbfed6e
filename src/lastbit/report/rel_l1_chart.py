"""RelL1 over training, for each noise and seed of a study."""

import altair as alt

from lastbit.report.curves import Curves, first_rows, gather, last_rows
from lastbit.report.figure import Figure
from lastbit.report.numbers import scientific, scientific_range
from lastbit.report.rel_l1_curves import RELL1, compared, has_curves
from lastbit.report.source import source_of
from lastbit.report.stored import Study, noise_label, roundoff_exponent

NAME = "rel-l1"


def rel_l1_figure(study: Study, *, most_points: int) -> Figure:
    """Distance of each run's weights to those of the seed's first noise.

    Args:
        study: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    curves = gather(
        study["rel_l1"], lambda row: {"noise": noise_label(row), "seed": row["seed"]}, most_points=most_points
    )
    if not curves.rows:
        reason = "No two runs of one seed kept finite weights of the same step."
        return Figure(NAME, "RelL1 of the weights is not known", reason + curves.remark)
    note = _note(study, curves)
    if not has_curves(curves):
        title = f"Every run’s weights are bit for bit those of its seed’s {study['noises'][0]} run, at every step"
        return Figure(NAME, title, note)
    return Figure(NAME, _title(study), note, _draw(study, curves), curves.rows)


def _title(study: Study) -> str:
    first, last = first_rows(study["rel_l1"]), last_rows(study["rel_l1"])
    end = f"RelL1 is {scientific_range(row['value'] for row in last)} after step {last[0]['step']:,}"
    if first[0]["step"] == last[0]["step"]:
        return end
    start = scientific(max(row["value"] for row in first))
    return f"{end}; after step {first[0]['step']:,} it was at most {start}"


def _note(study: Study, curves: Curves) -> str:
    return (
        f"{RELL1} Each line compares one run with the {study['noises'][0]} run of the same seed, from which it differs "
        f"in nothing but {source_of(study).difference}.{curves.remark}"
    )


def _draw(study: Study, curves: Curves) -> alt.LayerChart:
    exponent = roundoff_exponent(study)
    return compared(
        curves,
        roundoff_exponents={exponent} if exponent is not None else set(),
        colour="noise",
        names=study["noises"][1:],
        legend_columns=4,
        detail=["noise", "seed"],
    )
