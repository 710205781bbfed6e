"""A study read back from its directory, without the training that made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise import noise_from_json
from lastbit.study.design import SourceDesign, design_from_json
from lastbit.study.metric import Metric
from lastbit.study.store import Store
from lastbit.study.stored_study import StoredStudy

_MOST_TRIALS = 1_000_000


def open_study(path: str | Path) -> StoredStudy:
    """Open a stored study to look at its trials and results; it cannot be run, for its training is not here.

    Args:
        path: the study's directory.

    Raises:
        LastbitError: the directory holds no study, or its study.json was altered.
    """
    description = Store(Path(path)).description()
    try:
        _check(description)
        noises = [noise_from_json(noise) for noise in description["noises"]]
        metric = Metric(**description["metric"])
        design = _design(description)
    except (KeyError, TypeError, AttributeError) as error:
        raise LastbitError(
            f"{Path(path) / 'study.json'} does not describe a study ({error!r}): it was altered"
        ) from None
    return StoredStudy(
        path,
        noises=noises,
        seeds=description["seeds"],
        name=description["name"],
        settings=description["settings"],
        controlled=description["controlled"],
        metric=metric,
        seed_decides=description["seed_decides"],
        design=design,
    )


def _design(description: Mapping[str, Any]) -> SourceDesign | None:
    """The design of a study that varies several sources, if it is one.

    Raises:
        LastbitTypeError: it is not that of the study's table.
    """
    if "design" not in description:
        return None
    design = design_from_json(description["design"])
    if description["seeds"] != list(design.cells) or len(description["noises"]) != design.rows:
        raise LastbitTypeError("its design is that of another table")
    return design


def _check(description: Mapping[str, Any]) -> None:
    """Check the types that nothing else checks, and that the table is of a size that can be held.

    Raises:
        LastbitTypeError: a field is of another type.
        LastbitError: the table is too large.
    """
    seeds, metric = description["seeds"], description["metric"]
    strings = [description["name"], description["seed_decides"], metric["name"], metric["label"]]
    for field, value, kind in (
        *(("a name", value, str) for value in strings),
        ("settings", description["settings"], dict),
        ("controlled", description["controlled"], bool),
        ("noises", description["noises"], list),
        ("seeds", seeds, list),
        *(("a seed", seed, int) for seed in seeds),
        *(("a noise", noise, dict) for noise in description["noises"]),
    ):
        if not isinstance(value, kind):
            raise LastbitTypeError(f"{field} is {value!r:.100}")
    if len(seeds) * len(description["noises"]) > _MOST_TRIALS:
        raise LastbitError(f"study.json has {len(seeds):,} seeds: at most {_MOST_TRIALS:,} trials are read")
