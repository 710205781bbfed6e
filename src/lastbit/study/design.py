"""The design of a study that varies several sources of randomness at once: which run takes which seed of each source.

A cell is one combination of seeds, and a column of the study's table. Every cell has a run of the first noise; some
have a second one, which differs in the last bit alone. Each of these repeats has a noise of its own, so that what one
noise does to every training does not count as spread. The first noise is the same in all cells: so cells whose seeds
change nothing are seen. `lastbit.statistics.source_design` chooses the combinations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise import Noise
from lastbit.report.numbers import joined
from lastbit.statistics.source_design import design_sources, next_design
from lastbit.study.source_names import LAST_BIT, checked_names, label_of

_USUAL_RUNS = 24
_HELD = "it keeps one seed in all runs"


@dataclass(frozen=True)
class SourceDesign:
    """Which seed each source has in every cell, and which cells are run again with another last bit."""

    seeds: Mapping[str, tuple[int, ...]]  # source -> its seed in each cell
    repeated: tuple[int, ...] = ()  # indices of cells, ascending; none where the last bit is not varied
    absent: Mapping[str, str] = field(default_factory=dict)  # sources that do not vary -> why, as in a sentence
    noises: tuple[int, ...] = ()  # index of the noise of each repeat, from 1

    @property
    def cells(self) -> tuple[int, ...]:
        """The numbers of the cells, from 1: the seeds of the study's table."""
        return tuple(range(1, 1 + len(next(iter(self.seeds.values())))))

    @property
    def rows(self) -> int:
        """The noises of the study's table."""
        return 1 + max(self.noises, default=0)

    @property
    def places(self) -> list[tuple[int, int]]:
        """The place of every run in the table: index of the noise, index of the cell."""
        return [*((0, cell) for cell in range(len(self.cells))), *zip(self.noises, self.repeated, strict=True)]

    @property
    def labels(self) -> dict[str, str]:
        """What each varied source is called in the middle of a sentence."""
        return {name: label_of(name) for name in self.seeds}

    @property
    def all_sources(self) -> str:
        """What two cells differ in, in words: `initialisation and batch order`."""
        return joined(self.labels.values())

    def at(self, cell: int) -> dict[str, int]:
        """The seed of each source in a cell.

        Args:
            cell: its number.
        """
        return {name: seeds[cell - 1] for name, seeds in self.seeds.items()}

    def has(self, noise: int, cell: int) -> bool:
        """Whether a run has this place in the table.

        Args:
            noise: its index.
            cell: its number.
        """
        return noise == 0 or (noise, cell - 1) in zip(self.noises, self.repeated, strict=True)

    def share_no_seed(self, cell: int, other: int) -> bool:
        """Whether two cells differ in the seed of every source.

        Args:
            cell: its index.
            other: that of the other one.
        """
        return all(seeds[cell] != seeds[other] for seeds in self.seeds.values())

    def levels(self) -> dict[str, NDArray[np.int64]]:
        """The seed of each source in every run, in the order of `places`, shape (runs,)."""
        cells = np.array([cell for _, cell in self.places])
        return {name: np.array(seeds, dtype=np.int64)[cells] for name, seeds in self.seeds.items()}

    def without_effect(self, groups: Iterable[Sequence[int]]) -> list[str]:
        """The sources whose seed changes no bit: cells that differ in nothing else have the same runs.

        Three sources and more differ pair by pair in every two cells, so that single ones are not seen, and only
        several that have no effect together are.

        Args:
            groups: the numbers of cells that share their runs.
        """
        group_of = {cell: at for at, group in enumerate(groups) for cell in group}
        ignored: list[str] = []
        for size in range(1, len(self.seeds) + 1):
            for some in combinations([name for name in self.seeds if name not in ignored], size):
                pairs = [pair for pair in combinations(self.cells, 2) if self._differing(*pair) == set(some)]
                if pairs and all(group_of.get(a, -a) == group_of.get(b, -b) for a, b in pairs):
                    ignored += some
        return [name for name in self.seeds if name in ignored]

    def _differing(self, cell: int, other: int) -> set[str]:
        return {name for name, seeds in self.seeds.items() if seeds[cell - 1] != seeds[other - 1]}

    @property
    def words(self) -> str:
        """What is run, before it is: how many seeds of each source, and how many repeats."""
        sizes = joined(f"{len(set(seeds))} seeds of {self.labels[name]}" for name, seeds in self.seeds.items())
        runs, again = len(self.places), len(self.repeated)
        combined = f"{sizes} in {len(self.cells)} runs"
        if len(self.seeds) > 1:
            combined = f"{sizes}, in {len(self.cells)} combinations"
        if not again:
            return f"{combined} (the last bit does not vary)"
        return f"{combined}; {again} of them run again with another last bit: {runs} runs"

    def as_json(self) -> dict[str, Any]:
        """As `study.json` and the results keep it."""
        return {
            "vary": [*self.seeds, *([LAST_BIT] if self.repeated else [])],
            "seeds": {name: list(seeds) for name, seeds in self.seeds.items()},
            "repeated": [cell + 1 for cell in self.repeated],
            "noises": list(self.noises),
            "absent": dict(self.absent),
            "labels": self.labels,
            "runs": len(self.places),
        }


def design_from_json(content: Mapping[str, Any]) -> SourceDesign:
    """The design that `as_json` gave.

    Raises:
        LastbitTypeError: it is none.
    """
    seeds, repeated, absent = content["seeds"], content["repeated"], content["absent"]
    noises = content.get("noises", [1 for _ in repeated])  # before each repeat had its own, all had the second
    names = [name for name in content["vary"] if name != LAST_BIT]  # in their order, which JSON's keys do not keep
    columns = list(seeds.values()) if isinstance(seeds, dict) else []
    sizes = {len(column) for column in columns if isinstance(column, list)}
    numbers = [*(seed for column in columns for seed in column), *repeated, *noises]
    if (
        len(sizes) != 1
        or sorted(names) != sorted(seeds)
        or not isinstance(absent, dict)
        or not all(isinstance(number, int) for number in numbers)
    ):
        raise LastbitTypeError(f"the design is {content!r:.100}")
    if not all(1 <= cell <= min(sizes) for cell in repeated):
        raise LastbitTypeError(f"the design repeats cells {repeated!r:.100} of {min(sizes)}")
    if len(noises) != len(repeated) or not all(1 <= noise <= len(repeated) for noise in noises):
        raise LastbitTypeError(f"the design repeats {len(repeated)} cells with noises {noises!r:.100}")
    return SourceDesign(
        {str(name): tuple(seeds[name]) for name in names},
        tuple(cell - 1 for cell in repeated),
        {str(name): str(why) for name, why in absent.items()},
        tuple(noises),
    )


def choose_design(vary: Iterable[str], runs: int | None = None, known: Mapping[str, str] | None = None) -> SourceDesign:
    """Choose the runs that tell sources apart.

    No two sources share a seed, so that no two share their random numbers.

    Args:
        vary: names of sources, `last-bit` among them for repeats.
        runs: in all, without controls; by default 24, or where that is no design, the fewest above.
        known: the sources of the training: empty, or why it has none. None where any name is one.

    Raises:
        LastbitError: a source that there is not, one twice, too few of them, names that results could not tell apart,
            or a number of runs that is no design.
        LastbitTypeError: `vary` is no list of names, or `runs` no whole number.
    """
    names = checked_names(vary, known)
    varied = [name for name in names if name != LAST_BIT]
    if names == [LAST_BIT]:
        raise LastbitError(f"vary {LAST_BIT} alone: a study over seeds shows that already; name what else is to vary")
    if len(names) < 2:
        raise LastbitError(f"vary {names[0]} alone: it cannot be told from the last bit; add {LAST_BIT}")
    if runs is not None and (isinstance(runs, bool) or not isinstance(runs, int)):
        raise LastbitTypeError(f"runs = {runs!r}: give a whole number of runs, such as {_USUAL_RUNS}")
    repeats = None if LAST_BIT in names else 0
    if runs is None:
        runs = next_design(len(varied), _USUAL_RUNS, repeats=repeats) or _USUAL_RUNS
    try:
        levels = design_sources(varied, runs, repeats=repeats)
    except LastbitError as error:
        raise LastbitError(f"vary {', '.join(names)}: {error}") from None
    taken = count(1)
    numbers = {name: {level: next(taken) for level in np.unique(column).tolist()} for name, column in levels.items()}
    cells = dict[tuple[int, ...], int]()
    repeated = []
    for place, cell in enumerate(zip(*(column.tolist() for column in levels.values()), strict=True)):
        if cells.setdefault(cell, place) != place:
            repeated.append(cells[cell])
    seeds = {
        name: tuple(numbers[name][level] for level in column[: len(cells)].tolist()) for name, column in levels.items()
    }
    absent = {name: why or _HELD for name, why in (known or {}).items() if name not in seeds}
    return SourceDesign(seeds, tuple(sorted(repeated)), absent, tuple(range(1, 1 + len(repeated))))


def design_noises(design: SourceDesign, noises: Sequence[Noise]) -> tuple[SourceDesign, tuple[Noise, ...]]:
    """Give each repeat of a design a noise of its own.

    Args:
        design: as it was chosen.
        noises: one for all cells, and others for the repeats. Repeats that are left get the next ones of the last
            one's kind (`Noise.another`): k = 5, 7, ... after k = 3. Where it has no next ones, they share the last.

    Returns:
        The design with the noise of each repeat, and all noises.

    Raises:
        LastbitError: a number of noises that is not for this design, or one for repeats that changes nothing.
    """
    repeats = len(design.repeated)
    if not min(repeats, 1) < len(noises) <= repeats + 1:
        some = "one for all runs and one or more for the repeats" if repeats else "one noise for all runs"
        needed = f"2 to {repeats + 1} noises, {some}" if repeats else some
        given = ", ".join(noise.label for noise in noises) or "none"
        raise LastbitError(f"a study that varies several sources takes {needed}, got {len(noises)} ({given})")
    for noise in noises[1:]:
        if noise.is_exact:
            raise LastbitError(
                f"{noise.label} changes no bit, so repeats with it would say nothing: give another noise"
            )
    chosen, following = list(noises), noises[-1].another()
    while len(chosen) <= repeats and following is not None:
        chosen += [] if following.is_exact or following in chosen else [following]
        following = following.another()
    last = len(chosen) - 1
    return replace(design, noises=tuple(min(at, last) for at in range(1, repeats + 1))), tuple(chosen)
