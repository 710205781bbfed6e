"""Which seeds of a study repeat each other bit for bit, so that they add no information and count once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lastbit.report.numbers import joined
from lastbit.study.agreement import Differing, agreement, same_weights
from lastbit.study.design import SourceDesign
from lastbit.study.grid import Grid
from lastbit.study.recorder import PREDICTIONS
from lastbit.study.stored_trial import StoredTrial

_Runs = Mapping[int, StoredTrial]  # the runs of one seed, by the index of their noise


@dataclass(frozen=True)
class Repetitions:
    """Which seeds count, and what the stored runs say about seeds and evaluation."""

    twins: Mapping[int, int]  # a seed whose runs are those of an earlier one, bit for bit -> that seed
    seeds: tuple[int, ...]  # all that have a run
    weights_kept: bool  # whether weights were compared; otherwise every prediction and number
    same_training: bool  # whether all seeds trained the same weights, bit for bit, and only their results differ
    random: tuple[Differing, ...]  # results that differ between runs of a seed whose weights are the same
    random_runs: str = ""  # which runs those are

    @property
    def distinct(self) -> int:
        """How many seeds count."""
        return len(self.seeds) - len(self.twins)

    @property
    def doubt(self) -> str:
        """What a person should know of the seeds before any number; empty where every seed changes something."""
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

    def doubt_of_cells(self, design: SourceDesign) -> str:
        """The same where several sources vary, so that seeds are cells; empty where all cells differ.

        Args:
            design: which seed each source has in every cell.
        """
        if not self.twins:
            return ""
        ignored = design.without_effect(self.groups())
        if ignored:
            names, verb = joined(design.labels[name] for name in ignored), "does" if len(ignored) == 1 else "do"
            alike = "runs that differ in nothing else are bit-identical"
            return f"The seed of {names} {verb} not reach the training: {alike}."
        cells = "; ".join(listed(group) for group in self.groups())
        return f"Cells of different seeds gave the same runs ({cells}): there a source does not reach the training."

    def groups(self) -> list[tuple[int, ...]]:
        """The groups of two and more seeds that share their bits."""
        firsts = dict.fromkeys(self.twins.values())
        return [(first, *(seed for seed, other in self.twins.items() if other == first)) for first in firsts]

    def counted(self, grid: Grid) -> Grid:
        """The table without the seeds that repeat another one's runs."""
        return grid.with_seeds([j for j, seed in enumerate(grid.seeds) if seed not in self.twins])


def repetitions(grid: Grid, metric: str) -> Repetitions:
    """Compare a study's stored runs with each other.

    Args:
        grid: the stored trials.
        metric: that is compared.
    """
    by_seed = {seed: runs for j, seed in enumerate(grid.seeds) if (runs := grid.at_seed(j))}
    twins = _twins(by_seed, metric)
    same_training = _same_training(by_seed, twins)
    random, where = _random(grid, by_seed, metric)
    kept = any(trial.weight_sums for runs in by_seed.values() for trial in runs.values())
    return Repetitions({} if same_training else twins, tuple(by_seed), kept, same_training, random, where)


def _twins(by_seed: Mapping[int, _Runs], metric: str) -> dict[int, int]:
    firsts: dict[object, int] = {}  # what is the same in two seeds' runs of a noise -> the first seed with it
    twins: dict[int, int] = {}
    for seed, runs in by_seed.items():
        keys = [key for noise, trial in runs.items() if (key := _key(noise, trial)) is not None]
        candidates = dict.fromkeys(firsts[key] for key in keys if key in firsts)
        twin = next((other for other in candidates if _same_runs(runs, by_seed[other], metric)), None)
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


def _same_runs(runs: _Runs, others: _Runs, metric: str) -> bool:
    """Whether two seeds' runs are the same in all that both have."""
    pairs = [(runs[i], others[i]) for i in sorted(runs.keys() & others.keys())]
    return all(same_weights(*pair) for pair in pairs) and all(agreement(*pair).holds(metric) for pair in pairs)


def _same_training(by_seed: Mapping[int, _Runs], twins: Mapping[int, int]) -> bool:
    """Whether all seeds trained the same weights, though their results differ."""
    first, *others = by_seed.values() if by_seed else [{}]
    return bool(
        others
        and len(twins) < len(others)
        and all((trial.weight_steps() or [0])[-1] > 0 for trial in first.values())
        and all(
            (common := runs.keys() & first.keys()) and all(same_weights(runs[i], first[i]) for i in common)
            for runs in others
        )
    )


def _random(grid: Grid, by_seed: Mapping[int, _Runs], metric: str) -> tuple[tuple[Differing, ...], str]:
    """The compared results that differ between two runs of one seed whose weights are the same."""
    for seed, runs in by_seed.items():
        for i, trial in runs.items():
            for k in (k for k in runs if k < i and same_weights(runs[k], trial)):
                pair = agreement(runs[k], trial)
                if not pair.unexplained(metric) and (decisive := pair.decisive(metric)):
                    return decisive, f"seed {seed}, {grid.noises[k].label} and {grid.noises[i].label}"
    return (), ""


def listed(seeds: Sequence[int]) -> str:
    """Seeds in words: `1 to 6`, `2 and 4`."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return joined(map(str, seeds))
