"""How fast each pair of runs parts, and where it leaps, in words and numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.divergence import stays_apart
from lastbit.report.numbers import MISSING, scientific
from lastbit.report.stored import Study, noise_label

_MOST_JUMPS = 3  # named in a row


@dataclass(frozen=True)
class GrowthTable:
    """The table as it is shown; without rows where no two runs kept weights that differ."""

    title: str
    rows: list[tuple[str, str, str, str, str]]  # noise, seed, fastest growth, jumps, level
    note: str
    folded: bool = False  # whether nothing grows or stays apart, so that the page shows the rows on request only


def growth_table(study: Study) -> GrowthTable:
    """One row for each pair of runs that differ in the last bit only."""
    pairs = [pair for pair in study.get("growth", ()) if pair["segments"] or pair["jumps"]]
    if not pairs:
        return GrowthTable("How fast the runs part is not known", [], "No two runs kept enough weights that differ.")
    distances = _distances(study)
    apart = [pair for pair in pairs if _stays_apart(pair, distances)]
    rows = [
        (
            noise_label(pair),
            str(pair["seed"]),
            fastest(pair["segments"]),
            jumps(pair["jumps"]),
            level(pair["saturation"]),
        )
        for pair in pairs
    ]
    note = (
        "Between jumps RelL1 grows as e^(rate · step); the rate of the fastest stretch is given with its 95 % "
        f"interval, and {MISSING} where no growth stands out from its fluctuation. A jump multiplies RelL1 tenfold or "
        "more beyond the growth around it. Where weights were kept only now and then, a jump lies somewhere between "
        "two snapshots, and fast growth between them can look like one."
    )
    growing = any(_growing(pair["segments"]) for pair in pairs)
    return GrowthTable(_title(pairs, apart), rows, note, folded=not growing and not apart)


def fastest(segments: Sequence[Mapping[str, Any]]) -> str:
    """The stretch of the largest rate whose interval excludes zero, in words; a dash where there is none."""
    growing = _growing(segments)
    if not growing:
        return MISSING
    best = max(growing, key=lambda segment: float(segment["rate"]))
    return (
        f"{best['rate']:.2g} per step ({best['lower']:.2g} to {best['upper']:.2g}), "
        f"steps {best['first']:,} to {best['last']:,}"
    )


def jumps(found: Sequence[Mapping[str, Any]]) -> str:
    """The largest jumps: `×46 at step 16 (blocks.1.1.bias)`."""
    if not found:
        return "none"
    largest = sorted(found, key=lambda jump: -float(jump["factor"]))[:_MOST_JUMPS]
    rest = f"; {len(found) - len(largest)} smaller" if len(found) > len(largest) else ""
    return "; ".join(_jump(jump) for jump in sorted(largest, key=lambda jump: int(jump["step"]))) + rest


def level(saturation: Mapping[str, Any] | None) -> str:
    """Where the distance stopped growing."""
    return MISSING if saturation is None else f"{scientific(saturation['level'])} since step {saturation['since']:,}"


def _jump(jump: Mapping[str, Any]) -> str:
    step, before = jump["step"], jump["before"]
    place = f"at step {step:,}" if step == before + 1 else f"between steps {before:,} and {step:,}"
    return f"×{jump['factor']:.0f} {place}" + (f" ({jump['layer']})" if jump.get("layer") else "")


def _growing(segments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [segment for segment in segments if segment["lower"] > 0]


def _distances(study: Study) -> dict[tuple[str, Any], dict[int, float]]:
    """RelL1 by step of each pair of runs."""
    found: dict[tuple[str, Any], dict[int, float]] = {}
    for row in study.get("rel_l1", ()):
        if row["value"] is not None:
            found.setdefault((noise_label(row), row["seed"]), {})[row["step"]] = row["value"]
    return found


def _stays_apart(pair: Mapping[str, Any], distances: Mapping[tuple[str, Any], Mapping[int, float]]) -> bool:
    """Whether a pair jumps and is still far apart at the last step, rather than back where it was."""
    measured = distances.get((noise_label(pair), pair["seed"]), {})
    if not measured:
        return bool(pair["jumps"])
    last = measured[max(measured)]
    return any(stays_apart(measured.get(jump["before"], 0.0), last) for jump in pair["jumps"])


def _title(pairs: Sequence[Mapping[str, Any]], apart: Sequence[Mapping[str, Any]]) -> str:
    jumping = [pair for pair in pairs if pair["jumps"]]
    if not jumping:
        return "No pair of runs leaps apart: their distance grows without jumps"
    back = len(jumping) - len(apart)
    if not apart:
        return f"No pair of runs leaps apart for good: {back} of {len(pairs)} jump and come back"
    largest = max((jump for pair in apart for jump in pair["jumps"]), key=lambda jump: float(jump["factor"]))
    returned = f", {back} jump and come back" if back else ""
    return f"{len(apart)} of {len(pairs)} pairs of runs leap apart{returned}; the largest jump is {_jump(largest)}"
