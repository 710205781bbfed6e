"""Several sources of randomness on the command line: `--vary` and `--runs`, in place of `--seeds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.noises import Noises
from lastbit.cli.options import LARGEST, parse_numbers
from lastbit.errors import LastbitError
from lastbit.training.randomness import SOURCES

if TYPE_CHECKING:
    from lastbit.cli.cost import Answers
    from lastbit.study import Study

USUAL_SEEDS, USUAL_SEED = "1-6", "1"  # of a recipe, and of a script
LAST_BIT = "last-bit"


def _sources(incomplete: str) -> list[str]:
    """The sources that a list of them may go on with."""
    given = incomplete.split(",")[:-1]
    left = [name for name in (*SOURCES, LAST_BIT) if name not in given]
    begun = [",".join([*given, name]) for name in left]
    return [names for names in begun if names.startswith(incomplete)]


VaryOption = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        autocompletion=_sources,
        help=f"What varies and is told apart, in place of --seeds: {', '.join((*SOURCES, LAST_BIT))}.",
    ),
]
RunsOption = Annotated[
    int | None,
    typer.Option(min=1, max=LARGEST, metavar="N", help="With --vary: runs in all, without controls [24 or more]."),
]


def planned(
    *, vary: str | None, runs: int | None, seeds: str | None, noises: Noises, usual: str = USUAL_SEEDS
) -> dict[str, Any]:
    """The arguments of a study that say what is run: noises, and seeds or the sources that vary.

    Args:
        vary: names of sources, as given.
        runs: in all, where sources vary.
        seeds: as given.
        noises: as given; where sources vary and no list of noises is given, the first two of the usual ones,
            which `Study` continues.
        usual: the seeds where neither is given.

    Raises:
        LastbitError: options that do not go together, or a value that is not allowed.
    """
    if vary is None:
        if runs is not None:
            raise LastbitError(f"--runs {runs} is for --vary; without it, --seeds and the noises say what is run")
        return {"noises": noises.chosen(), "seeds": parse_numbers(usual if seeds is None else seeds, "--seeds")}
    if seeds is not None:
        raise LastbitError(
            f"--seeds {seeds} and --vary {vary}: --vary chooses the seeds of each source; give one of them"
        )
    names, chosen = [name.strip() for name in vary.split(",")], noises.chosen()
    needed = 2 if LAST_BIT in names else 1
    if not noises.are_listed:
        chosen = chosen[:needed]
    return {"noises": chosen, "vary": names, "runs": runs}


def announce_design(study: Study, answers: Answers) -> None:
    """Say which runs tell the sources apart, before any is made.

    Args:
        study: about to run; one that does not vary sources, or is complete, has nothing to say.
        answers: prints.
    """
    if study.design is not None and study.pending():
        answers.say(f"{study.name}: {study.design.words}")
