"""How far the weights of a study's runs part: over training, layer by layer, of several studies, and how fast."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, CurveChoice, DistanceRow, Level, Thinned, first_rows, gather, last_rows
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.growth.words import fastest, growing, jump_words, jumps, level, stay_apart
from lastbit.report.numbers import MISSING, capital, joined, scientific, scientific_range
from lastbit.report.study.naming import distinct_names, source_of, source_of_all
from lastbit.report.study.sources import is_designed
from lastbit.report.study.stored import StudyJson, noise_label, roundoff_exponent
from lastbit.report.table import Table

RELL1 = (
    "RelL1 is the mean relative difference of two runs’ weights, 2 · mean |w − w′| / (|w| + |w′|): 0 for equal, 2 for "
    "opposite weights."
)
STEPS = Axis("update step", name="step", log=True, counts=True, format=",")
DISTANCE = Axis("RelL1", name="RelL1", log=True, format=".1e")
_FEW = 3  # so many studies a title can name
_SHORT = 16  # characters of a name that leave room for another beside it on a telephone


def distance_chart(curves: Sequence[Curve], *, exponents: set[int], columns: int = 4) -> Chart:
    """RelL1 over training, with the unit roundoff as a level.

    Args:
        curves: at least one value of which is not zero.
        exponents: of two, of the unit roundoffs.
        columns: of the legend.
    """
    levels = [Level(2.0**exponent, f"one rounding: 2^{exponent}") for exponent in sorted(exponents)]
    return line_chart(curves, x=STEPS, y=DISTANCE, levels=levels, at="inside", marks="nearest", columns=columns)


def rel_l1_figure(study: StudyJson, *, most_points: int) -> Figure:
    """RelL1 over training, of each run from its seed's first noise.

    Args:
        study: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    thinned = gather(study["rel_l1"], _pair, label="noise", most_points=most_points)
    if not thinned.curves:
        reason = "No two runs of one seed kept finite weights of the same step."
        return Figure("rel-l1", "RelL1 of the weights is not known", reason + thinned.remark)
    note = (
        f"{RELL1} Each line compares one run with the {study['noises'][0]} run of the same {_group(study)}, from which "
        f"it differs in nothing but {source_of(study).difference}.{thinned.remark}"
    )
    if not thinned.vary:
        title = f"Every run’s weights are bit for bit those of its seed’s {study['noises'][0]} run, at every step"
        return Figure("rel-l1", title, note)
    exponent = roundoff_exponent(study)
    chart = distance_chart(thinned.curves, exponents=set() if exponent is None else {exponent})
    return Figure("rel-l1", _ends(study["rel_l1"]), note, chart)


def _pair(row: DistanceRow) -> dict[str, str | int]:
    return {"noise": noise_label(row), "seed": row["seed"]}


def _ends(rows: Sequence[DistanceRow]) -> str:
    first, last = first_rows(rows), last_rows(rows)
    end = f"RelL1 is {scientific_range(row['value'] for row in last)} after step {last[0]['step']:,}"
    if first[0]["step"] == last[0]["step"]:
        return end
    start = scientific(max(row["value"] for row in first))
    return f"{end}; after step {first[0]['step']:,} it was at most {start}"


def layer_figure(study: StudyJson, *, most_points: int) -> Figure:
    """The median RelL1 of each weight tensor over the pairs of runs; one is chosen from a list and stands out.

    Args:
        study: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    rows = study["rel_l1_layers"]
    thinned = gather(rows, lambda row: {"layer": row["layer"]}, label="layer", most_points=most_points)
    if not thinned.vary:
        reason = f"No two runs of one seed kept weights that differ.{thinned.remark}"
        return Figure("rel-l1-layers", "No layer’s weights can be told apart between runs", reason)
    ends = sorted(last_rows(rows), key=lambda row: float(row["value"]))
    farthest = str(max(last_rows(rows), key=lambda row: float(row["value"]))["layer"])
    note = (
        "Each line is one weight tensor of the network: the median of its RelL1 over all pairs of runs. The chosen one "
        f"is drawn in colour, at first {farthest}.{thinned.remark}"
    )
    chart = line_chart(thinned.curves, x=STEPS, y=DISTANCE, choice=CurveChoice("Layer", farthest))
    return Figure("rel-l1-layers", _layer_range(ends), note, chart)


def _layer_range(ends: Sequence[DistanceRow]) -> str:
    low, high, step = ends[0], ends[-1], ends[0]["step"]
    if len(ends) == 1:
        return f"After step {step:,} RelL1 of {low['layer']} is {scientific(low['value'])}"
    return (
        f"After step {step:,} the layers’ RelL1 ranges from {scientific(low['value'])} ({low['layer']}) to "
        f"{scientific(high['value'])} ({high['layer']})"
    )


def comparison_figure(studies: Sequence[StudyJson], *, most_points: int) -> Figure:
    """RelL1 over training of several studies.

    Args:
        studies: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    names, source = distinct_names(studies), source_of_all(studies)
    rows = [{**row, "study": name} for name, study in zip(names, studies, strict=True) for row in study["rel_l1"]]
    thinned = gather(rows, lambda row: {"study": row["study"], **_pair(row)}, label="study", most_points=most_points)
    note = (
        f"{RELL1} Each line is one pair of runs that differ only in {source.difference}; the title names each study’s "
        f"farthest pair.{thinned.remark}"
    )
    if not thinned.vary:
        return Figure("comparison", "No study has weights that differ", note)
    title = f"{capital(source.subject)} comes to a RelL1 of {_farthest(names, rows)} by the last step"
    return Figure("comparison", title, note, _compared(studies, names, thinned))


def _farthest(names: Sequence[str], rows: Sequence[DistanceRow]) -> str:
    finals = {name: last_rows(row for row in rows if row["study"] == name) for name in names}
    largest = {name: max(row["value"] for row in last) for name, last in finals.items() if last}
    falling = sorted(largest, key=lambda name: -largest[name])
    words = [f"{scientific(largest[name])} in {name}" for name in falling]
    return joined(words) if len(words) <= _FEW else f"between {words[-1]} and {words[0]}"


def _compared(studies: Sequence[StudyJson], names: Sequence[str], thinned: Thinned) -> Chart:
    exponents = {exponent for study in studies if (exponent := roundoff_exponent(study)) is not None}
    columns = 3 if max(map(len, names)) <= _SHORT else 1
    return distance_chart(thinned.curves, exponents=exponents, columns=columns)


def _group(study: StudyJson) -> str:
    """What runs share that differ in their noise alone."""
    return "combination" if is_designed(study) else "seed"


def growth_table(study: StudyJson) -> tuple[Table, bool]:
    """A row for each pair of runs that differ in the last bit only: how fast they part, and where they leap.

    Returns:
        The table, without rows where no two runs kept weights that differ; and whether nothing grows or stays apart, so
        that its rows are shown on request only.
    """
    columns = ["noise", _group(study), "fastest growth of RelL1", "jumps (tensor that leapt most)", "level reached"]
    pairs = [pair for pair in study.get("growth", ()) if pair["segments"] or pair["jumps"]]
    if not pairs:
        reason = "No two runs kept enough weights that differ."
        return Table("growth", "How fast the runs part is not known", columns, [], reason), False
    distances = _distances(study)
    apart = [pair for pair in pairs if stay_apart(pair["jumps"], distances.get((noise_label(pair), pair["seed"]), {}))]
    rows = [
        [
            noise_label(pair),
            str(pair["seed"]),
            fastest(pair["segments"], pair["saturation"]),
            jumps(pair["jumps"]),
            level(pair["saturation"]),
        ]
        for pair in pairs
    ]
    note = (
        "Between jumps RelL1 grows as e^(rate · step). The rate of the fastest stretch is given with its 95 % "
        f"interval, and {MISSING} where no growth before the level stands out from its fluctuation. "
        "A jump multiplies RelL1 tenfold or more beyond the growth around it. Where weights were kept only now "
        "and then, a jump lies somewhere between two snapshots, and fast growth between them can look like a jump."
    )
    is_calm = not apart and not any(growing(pair["segments"]) for pair in pairs)
    return Table("growth", _growth_title(pairs, apart), columns, rows, note, align="lrlll"), is_calm


def _distances(study: StudyJson) -> dict[tuple[str, Any], dict[int, float]]:
    """RelL1 by step of each pair of runs."""
    distances: dict[tuple[str, Any], dict[int, float]] = {}
    for row in study.get("rel_l1", ()):
        if row["value"] is not None:
            distances.setdefault((noise_label(row), row["seed"]), {})[row["step"]] = row["value"]
    return distances


def _growth_title(pairs: Sequence[Mapping[str, Any]], apart: Sequence[Mapping[str, Any]]) -> str:
    jumping = [pair for pair in pairs if pair["jumps"]]
    if not jumping:
        return "No pair of runs leaps apart: their distance grows without jumps"
    back = len(jumping) - len(apart)
    if not apart:
        return f"No pair of runs leaps apart for good: {back} of {len(pairs)} jump and come back"
    largest = max((jump for pair in apart for jump in pair["jumps"]), key=lambda jump: float(jump["factor"]))
    returned = f", {back} jump and come back" if back else ""
    return f"{len(apart)} of {len(pairs)} pairs of runs leap apart{returned}; the largest jump is {jump_words(largest)}"
