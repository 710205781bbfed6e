"""RelL1 over training layer by layer, with a choice of the layer."""

import altair as alt

from lastbit.report.curves import Curves, gather, last_rows
from lastbit.report.figure import Figure
from lastbit.report.look import MUTED
from lastbit.report.numbers import scientific
from lastbit.report.rel_l1_curves import axes, has_curves, lines, points
from lastbit.report.stored import Study

NAME = "rel-l1-layers"
CHOICE = "layer_choice"  # the name of the parameter behind the list of layers


def layer_figure(study: Study, *, most_points: int) -> Figure:
    """Each weight tensor's median RelL1 over the pairs of runs; one is chosen from a list and stands out.

    Args:
        study: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    curves = gather(study["rel_l1_layers"], lambda row: {"layer": row["layer"]}, most_points=most_points)
    if not has_curves(curves):
        reason = "No two runs of one seed kept weights that differ." + curves.remark
        return Figure(NAME, "No layer’s weights can be told apart between runs", reason)
    note = (
        "Each line is one weight tensor of the network: the median of its RelL1 over all pairs of runs. The chosen one "
        f"is drawn in colour, at first {farthest_layer(study)}.{curves.remark}"
    )
    return Figure(NAME, _title(study), note, _draw(study, curves), curves.rows)


def farthest_layer(study: Study) -> str:
    """The layer with the largest RelL1 at the end, which is chosen first."""
    return str(max(last_rows(study["rel_l1_layers"]), key=lambda row: row["value"])["layer"])


def _title(study: Study) -> str:
    last = sorted(last_rows(study["rel_l1_layers"]), key=lambda row: row["value"])
    (low, high), step = (last[0], last[-1]), last[0]["step"]
    if low is high:
        return f"After step {step:,} RelL1 of {low['layer']} is {scientific(low['value'])}"
    return (
        f"After step {step:,} the layers’ RelL1 ranges from {scientific(low['value'])} ({low['layer']}) to "
        f"{scientific(high['value'])} ({high['layer']})"
    )


def _draw(study: Study, curves: Curves) -> alt.LayerChart:
    layers = list(dict.fromkeys(row["layer"] for row in curves.rows))
    choice = alt.param(
        name=CHOICE,
        value=farthest_layer(study),
        bind=alt.binding_select(options=layers, name="Layer "),
    )
    x, y = axes(curves, set())
    base = points(x, y)
    # Fainter where they are many, so that the chosen one stands out.
    opacity = max(0.1, min(0.4, 12 / len(layers)))
    every = base.mark_line(color=MUTED, opacity=opacity, strokeWidth=1).encode(detail="layer:N")
    chosen = lines(
        base.transform_filter(f"datum.layer === {CHOICE}"),
        name="of_layer",
        detail=["layer"],
        strokeWidth=alt.value(2.5),
    )
    return alt.LayerChart(layer=[every, *chosen]).add_params(choice)
