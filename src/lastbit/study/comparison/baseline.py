"""What a person asks of a comparison with a baseline: which recipe it is, and what counts as the same as it."""

from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Real

from lastbit.errors import LastbitError, LastbitTypeError, shortened, the_nearest
from lastbit.runs.groups import spelled
from lastbit.statistics.power import check_size

_NAMED = 6  # so many recipes are named where none is the one that is wanted


def check_margin(within: float | None) -> None:
    """Refuse a margin of equivalence that is none.

    Raises:
        LastbitError: it is no number, not above 0, or not finite.
    """
    if within is not None:
        check_size(within, "within", what="a margin")


def find_baseline(names: Sequence[str], wanted: str | float | None) -> int:
    """The place of the baseline among recipes: the first where none is wanted.

    A recipe that a single column makes may be given by its value, too, as `0.1` for `lr=0.1`: as text or as a number,
    with more zeros or fewer.

    Raises:
        LastbitTypeError: it is neither a name nor a number.
        LastbitError: no recipe has this name; the message has the nearest.
    """
    if wanted is None:
        return 0
    if not isinstance(wanted, str | Real):
        raise LastbitTypeError(f"baseline={wanted!r}: give the name of a recipe, or its value")
    if wanted in names:
        return names.index(str(wanted))
    value = spelled(wanted)
    ends = [at for at, name in enumerate(names) if value in (name, name.partition("=")[2])]
    if len(ends) == 1:
        return ends[0]
    near = get_close_matches(str(wanted), names, n=3, cutoff=0.4)
    there = shortened(names, _NAMED)
    nearest = f"{the_nearest(near)}; " if near and len(names) > len(near) else ""
    raise LastbitError(f"there is no recipe {str(wanted)!r} for the baseline: {nearest}there are {there}")
