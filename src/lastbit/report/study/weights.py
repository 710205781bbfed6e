"""How far the weights of a study's runs part: over training, layer by layer, and of several studies."""

from collections.abc import Sequence

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Choice, Curve, Level, Measurement, Thinned, first_rows, gather, last_rows
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import capital, joined, scientific, scientific_range
from lastbit.report.study.naming import distinct_names, source_of, source_of_all
from lastbit.report.study.stored import Study, noise_label, roundoff_exponent

RELL1 = (
    "RelL1 is the mean relative difference of two runs’ weights, 2 · mean |w − w′| / (|w| + |w′|): 0 for equal, 2 for "
    "opposite weights."
)
STEPS = Axis("update step", name="step", log=True, counts=True, format=",")
DISTANCE = Axis("RelL1", name="RelL1", log=True, format=".1e")
_FEW = 3  # so many studies a title can name
_SHORT = 16  # characters of a name that leave room for another beside it on a telephone


def distance_chart(curves: Sequence[Curve], *, exponents: set[int], columns: int = 4) -> Chart:
    """RelL1 over training, above the roundoff of the arithmetic.

    Args:
        curves: at least one value of which is not zero.
        exponents: of two, of the unit roundoffs.
        columns: of the legend.
    """
    levels = [Level(2.0**exponent, f"one rounding: 2^{exponent}") for exponent in sorted(exponents)]
    return line_chart(curves, x=STEPS, y=DISTANCE, levels=levels, beyond=False, marks="nearest", columns=columns)


def rel_l1_figure(study: Study, *, most_points: int) -> Figure:
    """RelL1 over training, of each run from its seed's first noise.

    Args:
        study: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    found = gather(study["rel_l1"], _pair, label="noise", most_points=most_points)
    if not found.curves:
        reason = "No two runs of one seed kept finite weights of the same step."
        return Figure("rel-l1", "RelL1 of the weights is not known", reason + found.remark)
    note = (
        f"{RELL1} Each line compares one run with the {study['noises'][0]} run of the same seed, from which it differs "
        f"in nothing but {source_of(study).difference}.{found.remark}"
    )
    if not found.vary:
        title = f"Every run’s weights are bit for bit those of its seed’s {study['noises'][0]} run, at every step"
        return Figure("rel-l1", title, note)
    exponent = roundoff_exponent(study)
    chart = distance_chart(found.curves, exponents=set() if exponent is None else {exponent})
    return Figure("rel-l1", _ends(study["rel_l1"]), note, chart)


def _pair(row: Measurement) -> dict[str, str | int]:
    return {"noise": noise_label(row), "seed": row["seed"]}


def _ends(rows: Sequence[Measurement]) -> str:
    first, last = first_rows(rows), last_rows(rows)
    end = f"RelL1 is {scientific_range(row['value'] for row in last)} after step {last[0]['step']:,}"
    if first[0]["step"] == last[0]["step"]:
        return end
    start = scientific(max(row["value"] for row in first))
    return f"{end}; after step {first[0]['step']:,} it was at most {start}"


def layer_figure(study: Study, *, most_points: int) -> Figure:
    """The median RelL1 of each weight tensor over the pairs of runs; one is chosen from a list and stands out.

    Args:
        study: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    rows = study["rel_l1_layers"]
    found = gather(rows, lambda row: {"layer": row["layer"]}, label="layer", most_points=most_points)
    if not found.vary:
        reason = f"No two runs of one seed kept weights that differ.{found.remark}"
        return Figure("rel-l1-layers", "No layer’s weights can be told apart between runs", reason)
    ends = sorted(last_rows(rows), key=lambda row: float(row["value"]))
    farthest = str(max(last_rows(rows), key=lambda row: float(row["value"]))["layer"])
    note = (
        "Each line is one weight tensor of the network: the median of its RelL1 over all pairs of runs. The chosen one "
        f"is drawn in colour, at first {farthest}.{found.remark}"
    )
    chart = line_chart(found.curves, x=STEPS, y=DISTANCE, choice=Choice("Layer", farthest))
    return Figure("rel-l1-layers", _layer_range(ends), note, chart)


def _layer_range(ends: Sequence[Measurement]) -> str:
    low, high, step = ends[0], ends[-1], ends[0]["step"]
    if len(ends) == 1:
        return f"After step {step:,} RelL1 of {low['layer']} is {scientific(low['value'])}"
    return (
        f"After step {step:,} the layers’ RelL1 ranges from {scientific(low['value'])} ({low['layer']}) to "
        f"{scientific(high['value'])} ({high['layer']})"
    )


def comparison_figure(studies: Sequence[Study], *, most_points: int) -> Figure:
    """RelL1 over training of several studies.

    Args:
        studies: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    names, source = distinct_names(studies), source_of_all(studies)
    rows = [{**row, "study": name} for name, study in zip(names, studies, strict=True) for row in study["rel_l1"]]
    found = gather(rows, lambda row: {"study": row["study"], **_pair(row)}, label="study", most_points=most_points)
    note = (
        f"{RELL1} Each line is one pair of runs that differ only in {source.difference}; the title names each study’s "
        f"farthest pair.{found.remark}"
    )
    if not found.vary:
        return Figure("comparison", "No study has weights that differ", note)
    title = f"{capital(source.subject)} comes to a RelL1 of {_farthest(names, rows)} by the last step"
    return Figure("comparison", title, note, _compared(studies, names, found))


def _farthest(names: Sequence[str], rows: Sequence[Measurement]) -> str:
    finals = {name: last_rows(row for row in rows if row["study"] == name) for name in names}
    largest = {name: max(row["value"] for row in last) for name, last in finals.items() if last}
    falling = sorted(largest, key=lambda name: -largest[name])
    words = [f"{scientific(largest[name])} in {name}" for name in falling]
    return joined(words) if len(words) <= _FEW else f"between {words[-1]} and {words[0]}"


def _compared(studies: Sequence[Study], names: Sequence[str], found: Thinned) -> Chart:
    exponents = {exponent for study in studies if (exponent := roundoff_exponent(study)) is not None}
    columns = 3 if max(map(len, names)) <= _SHORT else 1
    return distance_chart(found.curves, exponents=exponents, columns=columns)
