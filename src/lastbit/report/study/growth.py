"""How fast the runs of a study part, and where they leap apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.growth.words import fastest, growing, jump_words, jumps, level, stay_apart
from lastbit.report.numbers import MISSING
from lastbit.report.study.stored import Study, noise_label
from lastbit.report.table import Table


def growth_table(study: Study) -> tuple[Table, bool]:
    """A row for each pair of runs that differ in the last bit only: how fast they part, and where they leap.

    Returns:
        The table, without rows where no two runs kept weights that differ; and whether nothing grows or stays apart, so
        that its rows are shown on request only.
    """
    columns = ["noise", "seed", "fastest growth of RelL1", "jumps (tensor that leapt most)", "level reached"]
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
            fastest(pair["segments"]),
            jumps(pair["jumps"]),
            level(pair["saturation"]),
        ]
        for pair in pairs
    ]
    note = (
        "Between jumps RelL1 grows as e^(rate · step). The rate of the fastest stretch is given with its 95 % "
        f"interval, and {MISSING} where no growth stands out from its fluctuation. A jump multiplies RelL1 tenfold or "
        "more beyond the growth around it. Where weights were kept only now and then, a jump lies somewhere between "
        "two snapshots, and fast growth between them can look like a jump."
    )
    is_calm = not apart and not any(growing(pair["segments"]) for pair in pairs)
    return Table("growth", _growth_title(pairs, apart), columns, rows, note, align="lrlll"), is_calm


def _distances(study: Study) -> dict[tuple[str, Any], dict[int, float]]:
    """RelL1 by step of each pair of runs."""
    found: dict[tuple[str, Any], dict[int, float]] = {}
    for row in study.get("rel_l1", ()):
        if row["value"] is not None:
            found.setdefault((noise_label(row), row["seed"]), {})[row["step"]] = row["value"]
    return found


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
