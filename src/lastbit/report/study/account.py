"""What was asked, what was done, and whether it can be trusted, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lastbit.differing import differing_fields
from lastbit.report.numbers import capital, joined
from lastbit.report.page import Block, Heading, Html, Section, Text
from lastbit.report.study.sources import design_words, is_designed
from lastbit.report.study.stored import StudyJson
from lastbit.runs.raw import flat_items

# What a control says where its run agreed, and where it did not.
_CONTROLS = {
    "repeat": ("the same run twice gives the same bits", "the same run twice gave different bits"),
    "power_of_two": ("k=2, which rounds nothing, changes no bit", "k=2, which rounds nothing, changed bits"),
    "null": ("the noise turned off changes no bit", "the noise turned off changed bits"),
}


def verdict_first(standings: Iterable[Text], finding: str, *rest: str) -> list[Block]:
    """The header of a page: doubts and failures, then the finding, then what speaks for it and what else to know."""
    known = list(standings)
    good = [text for text in known if text.kind in ("standing passed", "standing cut")]
    return [
        *(text for text in known if text not in good),
        Text(finding, "finding"),
        *good,
        *(Text(words, "standing cut") for words in rest if words),
    ]


def decided_by_seed(settings: Mapping[str, Any]) -> list[str]:
    """What another seed changes in a training whose seed decides its batches, as in the middle of a sentence.

    Args:
        settings: of a recipe; of any other training nothing but the order is known.
    """
    flat = dict(flat_items(settings))
    more = {"data.augment": "their augmentation", "model.dropout": "the units that dropout sets to 0"}
    return ["the order of the training images", *(words for name, words in more.items() if flat.get(name))]


def method(
    explanations: Sequence[str], *, decided: Sequence[str] = (), designed: bool = False, repeated: bool = True
) -> Section:
    """What a study does, and what its noises are.

    Args:
        explanations: of the noises, as paragraphs of HTML.
        decided: by a seed that leaves the initial weights as they are, in words; empty where it may change anything.
        designed: whether every study varies several sources, each with a seed of its own.
        repeated: whether runs differ in the last bit alone; only where `designed` may they not.
    """
    change = "with a different order of the training images" if len(decided) == 1 else "with another seed"
    seed = (
        f"The seed decides {joined(decided)}; the initial weights are the same in every run."
        if decided
        else "The seed is handed to the training, which decides what it changes: the initial weights, the order of the "
        "data, dropout."
    )
    if designed:
        change = "with other seeds of several sources of randomness"
        seed = (
            "Each of these sources has a seed of its own. The combinations of seeds are chosen so that any two sources "
            "can be told apart"
        ) + ("; some are run again with nothing changed but the last bit." if repeated else ".")
    if not repeated:
        return _method_of_seeds(seed)
    asked = (
        "A computer rounds every number that it stores. Here one training is repeated with nothing changed but that "
        f"rounding, and {change} for comparison. The distance between the repetitions is how far the last bit "
        "carries. A difference between two methods that is smaller than that means nothing."
    )
    return Section(
        "", [Heading("What was asked, and how"), Text(asked), *map(Html, explanations), Text(seed)], "method"
    )


def _method_of_seeds(seed: str) -> Section:
    """The same where every run has the same arithmetic, and seeds of several sources are all that differs."""
    asked = (
        "The result of a training depends on random choices, such as the initial weights and the order of the data. "
        "Here one training is run with several seeds of each, to see how far each source moves the result. No run is "
        "repeated with another last bit: what that does is part of the remainder."
    )
    return Section("", [Heading("What was asked, and how"), Text(asked), Text(seed)], "method")


def standings(study: StudyJson) -> list[Text]:
    """What the controls say and, where the runs’ numerics differ, how; doubts and failures stand out."""
    kinds, groups = study["fingerprints"], study.get("numerics", [])
    if len(groups) > 1:
        return [_controls(study), _grouped(groups)]
    return [_controls(study), _mixed(kinds)] if len(kinds) > 1 else [_controls(study)]


def _grouped(groups: Sequence[Mapping[str, Any]]) -> Text:
    parts = [
        f"seed{'s' if len(group['seeds']) > 1 else ''} {joined(str(seed) for seed in group['seeds'])} on "
        f"{group['bit_fingerprint'] or 'one without a bit fingerprint'}"
        for group in groups
    ]
    return Text(
        f"The runs come from workers that give different bits from the first steps on: {joined(parts)}. Within a seed "
        "only the noise differs; the spread over seeds includes that change. Each has its own controls.",
        "standing doubt",
    )


def _mixed(kinds: Sequence[Mapping[str, Any]]) -> Text:
    return Text(
        f"The runs come from machines or versions of {len(kinds)} kinds, whose numerics differ in "
        f"{joined(differing_fields(kinds))} (see the fingerprints). That may move results by more than the noise does.",
        "standing doubt",
    )


def what_was_done(study: StudyJson) -> str:
    """Which runs were made, and how many came to an end."""
    if is_designed(study):
        return f"{capital(design_words(study))}: {_outcomes(study)}."
    seeds = joined(str(seed) for seed in study["seeds"])
    word = "seeds" if len(study["seeds"]) > 1 else "seed"
    return f"One run for {word} {seeds} with each of {joined(study['noises'])}: {_outcomes(study)}."


def cuts(settings: Mapping[str, Any]) -> str:
    """What a reduced scale leaves out of the full recipe; empty where the recipe is whole."""
    scale = settings.get("scale", "paper")
    if scale == "paper":
        return ""
    left = settings.get("cuts") or "what it leaves out is not recorded"
    return f"This is the recipe at the reduced scale “{scale}”: {left}."


def _outcomes(study: StudyJson) -> str:
    planned = study["design"]["runs"] if is_designed(study) else len(study["noises"]) * len(study["seeds"])
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


def _controls(study: StudyJson) -> Text:
    outcomes = study["controls"]
    if not outcomes:
        return Text("The controls were not run: other sources of noise are not ruled out.", "standing doubt")
    known = [name for name in _CONTROLS if name in outcomes]
    names = [*known, *(name for name in outcomes if name not in _CONTROLS)]
    failed = [_CONTROLS.get(name, ("", f"“{name}” differs"))[1] for name in names if not outcomes[name]]
    if complaint := study.get("controls_complaint"):
        return Text(f"{capital(complaint)}.", "standing failed")
    if failed:  # of results that an earlier version stored
        return Text(
            f"The controls failed: {joined(failed)}. Something else than the study’s noise changes the bits, so its "
            "numbers mean nothing.",
            "standing failed",
        )
    agreed = joined(_CONTROLS.get(name, (f"“{name}” agrees", ""))[0] for name in names)
    return Text(f"Controls passed: {agreed}.", "standing passed")
