"""What was done and whether it can be trusted, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.differing import differing_fields
from lastbit.report.numbers import joined
from lastbit.report.stored import Study

# What a control says where its run agreed, and where it did not.
_CONTROLS = {
    "repeat": ("the same run twice gives the same bits", "the same run twice gave different bits"),
    "power_of_two": ("k=2, which rounds nothing, changes no bit", "k=2, which rounds nothing, changed bits"),
    "null": ("the noise turned off changes no bit", "the noise turned off changed bits"),
}


@dataclass(frozen=True)
class Standing:
    """Whether something speaks for or against a study's numbers."""

    level: str  # `passed`, `doubt` or `failed`
    text: str


def standings(study: Study) -> list[Standing]:
    """What the controls said, and where it is not so, that all runs share one kind of arithmetic."""
    kinds, groups = study["fingerprints"], study.get("arithmetic", [])
    if len(groups) > 1:
        return [_controls(study), _grouped(groups)]
    return [_controls(study), _mixed(kinds)] if len(kinds) > 1 else [_controls(study)]


def _grouped(groups: Sequence[Mapping[str, Any]]) -> Standing:
    parts = [
        f"seed{'s' if len(group['seeds']) > 1 else ''} {joined(str(seed) for seed in group['seeds'])} on "
        f"{group['proof'] or 'one that was not proved'}"
        for group in groups
    ]
    return Standing(
        "doubt",
        f"The runs come from workers that give different bits from the first steps on: {joined(parts)}. Within a seed "
        "only the noise differs; the spread over seeds includes that change. Each has controls of its own.",
    )


def _mixed(kinds: Sequence[Mapping[str, Any]]) -> Standing:
    return Standing(
        "doubt",
        f"The runs come from {len(kinds)} different kinds of arithmetic, which differ in "
        f"{joined(differing_fields(kinds))} (see the fingerprints) and may move results by more than the noise does.",
    )


def what_was_done(study: Study) -> str:
    """Which runs were made, and how many came to an end."""
    seeds = joined(str(seed) for seed in study["seeds"])
    word = "seeds" if len(study["seeds"]) > 1 else "seed"
    return f"One run for {word} {seeds} with each of {joined(study['noises'])}: {_outcomes(study)}."


def cuts(study: Study) -> str:
    """What a reduced scale leaves out of the full recipe; empty where the recipe is whole."""
    scale = study["settings"].get("scale", "paper")
    if scale == "paper":
        return ""
    left = study["settings"].get("cuts") or "what that leaves out is not recorded"
    return f"This is the recipe at the reduced scale “{scale}”: {left}."


def _outcomes(study: Study) -> str:
    planned = len(study["noises"]) * len(study["seeds"])
    diverged = sum(trial["diverged_at"] is not None for trial in study["trials"])
    failed = sum(bool(trial.get("failure")) for trial in study["trials"])
    finished = len(study["trials"]) - diverged - failed
    if finished == planned:
        return f"{planned} runs, all finished"
    counts = {
        "finished": finished,
        "diverged": diverged,
        "failed": failed,
        "not finished": planned - len(study["trials"]),
    }
    return f"{planned} runs, of which {joined(f'{count} {what}' for what, count in counts.items() if count)}"


def _controls(study: Study) -> Standing:
    found = study["controls"]
    if not found:
        return Standing("doubt", "The controls were not run: other sources of noise are not ruled out.")
    known = [name for name in _CONTROLS if name in found]
    names = [*known, *(name for name in found if name not in _CONTROLS)]
    failed = [_CONTROLS.get(name, ("", f"“{name}” differs"))[1] for name in names if not found[name]]
    if complaint := study.get("controls_complaint"):
        return Standing("failed", f"{complaint[0].upper()}{complaint[1:]}.")
    if failed:  # of results that an earlier version stored
        return Standing(
            "failed",
            f"The controls failed: {joined(failed)}. Something else than the study’s noise changes the bits, so its "
            "numbers mean nothing.",
        )
    return Standing(
        "passed", f"Controls passed: {joined(_CONTROLS.get(name, (f'“{name}” agrees', ''))[0] for name in names)}."
    )
