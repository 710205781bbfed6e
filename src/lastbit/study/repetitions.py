"""Which runs of a study are repetitions: a seed that gives the bits of another is none, and adds no information."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lastbit.study.agreement import Differing, agreement, same_weights
from lastbit.study.grid import Grid
from lastbit.study.recorder import PREDICTIONS
from lastbit.study.stored_trial import StoredTrial


@dataclass(frozen=True)
class Repetitions:
    """Which seeds count, and what the stored runs say about seeds and evaluation."""

    twins: Mapping[int, int]  # a seed whose runs are those of an earlier one, bit for bit -> that seed
    seeds: tuple[int, ...]  # all that have a run
    weights_kept: bool  # whether that was told by weights; otherwise by every prediction and number
    same_training: bool  # whether all seeds trained the same weights, bit for bit, and only their results differ
    random: tuple[Differing, ...]  # results that differ between runs of a seed whose weights are the same
    random_runs: str = ""  # which runs those are

    @property
    def distinct(self) -> int:
        """How many seeds count."""
        return len(self.seeds) - len(self.twins)

    @property
    def doubt(self) -> str:
        """What a person should know of the seeds before any number; empty where each changes something."""
        if self.same_training:
            return (
                f"The seeds {listed(self.seeds)} trained the same weights, bit for bit: the seed changes nothing but "
                "the evaluation."
            )
        if not self.twins:
            return ""
        alike = "bit-identical runs" if self.weights_kept else "the same predictions and numbers"
        groups = "; ".join(f"seeds {listed(group)}" for group in self.groups())
        if self.distinct == 1:
            counted = f"they count as one repetition (seed {self.seeds[0]}): the seed does not reach the training"
        else:
            counted = "each group counts as one repetition"
        return f"The seeds gave {alike} ({groups}), so {counted}."

    def groups(self) -> list[tuple[int, ...]]:
        """The seeds that share their bits, those of two and more."""
        firsts = dict.fromkeys(self.twins.values())
        return [(first, *(seed for seed, other in self.twins.items() if other == first)) for first in firsts]


def repetitions(grid: Grid, metric: str) -> Repetitions:
    """Compare a study's stored runs with each other.

    Args:
        grid: the stored trials.
        metric: that is compared.
    """
    columns = {grid.seeds[j]: _column(grid, j) for j in range(len(grid.seeds))}
    present = {seed: column for seed, column in columns.items() if column}
    twins = _twins(present, metric)
    same_training = _same_training(present, twins)
    random, where = _random(grid, present, metric)
    kept = any(trial.weight_sums for column in present.values() for trial in column.values())
    return Repetitions({} if same_training else twins, tuple(present), kept, same_training, random, where)


def counted(grid: Grid, found: Repetitions) -> Grid:
    """The table without the seeds that repeat another one's runs."""
    kept = [j for j, seed in enumerate(grid.seeds) if seed not in found.twins]
    if len(kept) == len(grid.seeds):
        return grid
    place = {j: new for new, j in enumerate(kept)}
    return replace(
        grid,
        seeds=tuple(grid.seeds[j] for j in kept),
        stored={(i, place[j]): trial for (i, j), trial in grid.stored.items() if j in place},
        ids={(i, place[j]): trial for (i, j), trial in grid.ids.items() if j in place},
        failed={(i, place[j]): failure for (i, j), failure in grid.failed.items() if j in place},
    )


_Column = Mapping[int, StoredTrial]  # index of the noise -> run


def _column(grid: Grid, j: int) -> _Column:
    return {i: grid.stored[i, j] for i in range(len(grid.noises)) if (i, j) in grid.stored}


def _twins(columns: Mapping[int, _Column], metric: str) -> dict[int, int]:
    firsts: dict[object, int] = {}  # what is the same in two seeds' runs of a noise -> the first seed with it
    twins: dict[int, int] = {}
    for seed, column in columns.items():
        keys = [key for i, trial in column.items() if (key := _key(i, trial)) is not None]
        candidates = dict.fromkeys(firsts[key] for key in keys if key in firsts)
        twin = next((other for other in candidates if _same_runs(column, columns[other], metric)), None)
        if twin is None:
            firsts.update({key: seed for key in keys if key not in firsts})
        else:
            twins[seed] = twin
    return twins


def _key(noise: int, trial: StoredTrial) -> object:
    """The bits by which a run is recognised; None where it kept none."""
    predicted = trial.files.get(PREDICTIONS)
    if not trial.weight_sums and predicted is None:
        return None
    return noise, trial.diverged_at, tuple(sorted(trial.weight_sums.items())), predicted


def _same_runs(one: _Column, other: _Column, metric: str) -> bool:
    """Whether two seeds' runs are the same in all that both have."""
    pairs = [(one[i], other[i]) for i in sorted(one.keys() & other.keys())]
    return all(same_weights(*pair) for pair in pairs) and all(agreement(*pair).holds(metric) for pair in pairs)


def _same_training(columns: Mapping[int, _Column], twins: Mapping[int, int]) -> bool:
    first, *others = columns.values() if columns else [{}]
    return bool(
        others
        and len(twins) < len(others)
        and all((trial.weight_steps() or [0])[-1] > 0 for trial in first.values())
        and all(
            (common := column.keys() & first.keys()) and all(same_weights(column[i], first[i]) for i in common)
            for column in others
        )
    )


def _random(grid: Grid, columns: Mapping[int, _Column], metric: str) -> tuple[tuple[Differing, ...], str]:
    """The compared results that differ between two runs of one seed whose weights are the same."""
    for seed, column in columns.items():
        for i, trial in column.items():
            for k in (k for k in column if k < i and same_weights(column[k], trial)):
                found = agreement(column[k], trial)
                if not found.unexplained(metric) and (decisive := found.decisive(metric)):
                    return decisive, f"seed {seed}, {grid.noises[k].label} and {grid.noises[i].label}"
    return (), ""


def listed(seeds: Sequence[int]) -> str:
    """Seeds in words: `1 to 6`, `2 and 4`."""
    if len(seeds) == 1:
        return str(seeds[0])
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return f"{', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
