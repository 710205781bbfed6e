"""Reads a study's stored results: names, noises, trials by their place in the table."""

import re
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from lastbit.errors import LastbitError
from lastbit.report.shape import checked
from lastbit.report.study_shape import StudyShape

Study = Mapping[str, Any]  # one study's results, as `results.json` holds them
Row = Mapping[str, Any]  # one trial or one measurement in them

# Half the distance from 1 to the next number, relative to 1: the largest relative error of one rounding, 2**exponent.
_ROUNDOFF_EXPONENTS = {"bfloat16": -8, "float16": -11, "float32": -24, "float64": -53}


def as_stored(studies: Sequence[Study]) -> list[Study]:
    """Results as they are once stored: plain JSON, sorted, with None for what is not finite.

    Raises:
        LastbitError: there is no study, one has another shape than results have, or a metric took a column's place.
    """
    if not studies:
        raise LastbitError("a report needs the results of at least one study; got none")
    for study in studies:
        _check_columns(study)
    return [checked(study, StudyShape, "these are not the results of a study") for study in studies]


def _check_columns(study: Study) -> None:
    """Refuse results of format 2 in which a metric called `seed` or `noise` overwrote the trial's own.

    It comes before the check of the shape, which would only say that a seed is no whole number.
    """
    if not isinstance(study, Mapping) or study.get("format") != 2:  # since then, metrics are apart
        return
    trials, seeds, noises = (study.get(name) for name in ("trials", "seeds", "noises"))
    if not all(isinstance(part, list) for part in (trials, seeds, noises)):
        return
    for trial in [trial for trial in trials or () if isinstance(trial, Mapping)]:
        columns = {"seed": trial.get("seed") in (seeds or ()), "noise": noise_label(trial) in (noises or ())}
        if taken := [name for name, sound in columns.items() if not sound]:
            raise LastbitError(
                f"the results of {study.get('name')} have format 2, in which a metric called {taken[0]} overwrote the "
                "trials' own: the command that made the study computes them again"
            )


def noise_label(row: Row) -> str:
    """The noise of a trial or measurement in a word, `k=3`, as the study's list of noises has it."""
    if "noise" in row:
        return str(row["noise"])
    return f"k={row['k']}" if "k" in row else str(row.get("kind", ""))


def trials_by_place(study: Study) -> dict[tuple[str, Any], Row]:
    """Trials by noise and seed; one that is not finished is absent."""
    return {(noise_label(trial), trial["seed"]): trial for trial in study["trials"]}


def metrics_of(trial: Row) -> Row:
    """The final metrics of a trial by name, which results before format 3 have among its columns."""
    found = trial.get("metrics")
    return found if isinstance(found, Mapping) else trial


def roundoff_exponent(study: Study) -> int | None:
    """The exponent of two of the unit roundoff of the study's arithmetic; None where its dtype is not known."""
    return _ROUNDOFF_EXPONENTS.get(str(study["settings"].get("dtype")))


def distinct_names(studies: Sequence[Study]) -> list[str]:
    """A name for each study, numbered where several share one: `demo`, `demo (2)`."""
    return _numbered([str(study["name"]) or "study" for study in studies], " ({})")


def file_stems(studies: Sequence[Study]) -> list[str]:
    """A distinct beginning of a file name for each study, whatever the study's name holds."""
    stems = [re.sub(r"[^A-Za-z0-9_]+", "-", str(study["name"])).strip("-")[:60] or "study" for study in studies]
    return _numbered(stems, "-{}")


def _numbered(names: Sequence[str], pattern: str) -> list[str]:
    chosen: list[str] = []
    for name in names:
        candidates = chain([name], (name + pattern.format(number) for number in count(2)))
        # File systems may not tell upper from lower case.
        chosen.append(next(word for word in candidates if word.lower() not in map(str.lower, chosen)))
    return chosen
