"""A study: the same training over seeds and noises, with controls, stored as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError
from lastbit.execution.dispatch import cluster_of, dispatch
from lastbit.execution.jobs import BitFingerprint, Outcome
from lastbit.execution.seed_groups import SeedGroups
from lastbit.noise import Noise
from lastbit.study.agreement import agreement, first_logged
from lastbit.study.controls import Controls, ControlsFailedError, together
from lastbit.study.failure import RepeatedFailure, TrialFailedError, failure
from lastbit.study.first_steps import SEED as FIRST_STEPS_SEED
from lastbit.study.grid import Grid
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.results import Results, collect
from lastbit.study.store import Store
from lastbit.study.training import TrainFunction, Training, TrialRunner, as_training
from lastbit.study.trial import Trial

if TYPE_CHECKING:
    import polars as pl

FORMAT = 2


def _ignore(said: object) -> None:
    """Hear and do nothing."""


class Study:
    """Trains once for each pair of seed and noise, and compares what came out.

    Args:
        out: the study's directory; an interrupted study in it goes on where it stopped.
        train: called with a `Recorder`, whose `seed` and `noise` it uses and to which it gives metrics, weight
            snapshots and predictions. Importable by name where an executor with other processes is used.
        noises: the first is what the others are compared with; by custom one that changes nothing, such as `Scale(1)`
            or `Ulp(None)`.
        seeds: of batch order and augmentation.
        name: for people; by default the training's own.
        settings: plain JSON that identifies the training besides seed and noise. By default `train.settings`, else
            the function's qualified name.
        controlled: run the controls and refuse to go on where they fail.
        metric: what is logged under its name at the end of each run is what table, verdict and page compare.
        seed_decides: what another seed changes, in a word for people.

    Raises:
        LastbitError: no noise, no seed, or one twice.
    """

    def __init__(
        self,
        out: str | Path,
        train: Training | TrainFunction,
        *,
        noises: Iterable[Noise],
        seeds: Iterable[int],
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        controlled: bool = True,
        metric: Metric = TEST_ACCURACY,
        seed_decides: str = "batch order",
    ) -> None:
        self.noises, self.seeds, self.controlled = tuple(noises), tuple(seeds), controlled
        _check_distinct("noise", [noise.label for noise in self.noises])
        _check_distinct("seed", self.seeds)
        self.training = as_training(train)
        self.settings = dict(settings if settings is not None else self.training.settings)
        self.name = name or str(self.settings.get("name", "study"))
        self.metric, self.seed_decides = metric, seed_decides
        self.store = Store(Path(out))

    def trials(self) -> list[Trial]:
        """The trials of the table, seed by seed."""
        return [Trial(self.settings, seed, noise) for seed in self.seeds for noise in self.noises]

    def control_trials(self, seed: int | None = None) -> dict[str, tuple[Trial, Trial]]:
        """The runs that must agree bit for bit at a seed, by the control's name: one, and its reference.

        They are the controls of the first noise that disturbs something, so that the noise itself is controlled too.

        Args:
            seed: one of the study's; by default the first.
        """
        if not self.controlled:
            return {}
        noise = next((noise for noise in self.noises if not noise.is_exact), self.noises[0])
        at = self.seeds[0] if seed is None else seed
        return {name: self._control(at, *pair) for name, pair in noise.controls().items()}

    def _control(self, seed: int, noise: Noise, reference: Noise) -> tuple[Trial, Trial]:
        held_against = Trial(self.settings, seed, reference)
        trial = Trial(self.settings, seed, noise)
        # A control equal to its reference is the same run again.
        return (replace(trial, replica=1) if trial.id == held_against.id else trial), held_against

    def pending(self) -> list[Trial]:
        """Trials that are not stored yet, controls first.

        Workers of a new bit fingerprint will run the controls at a seed of theirs as well.
        """
        wanted = {trial.id: trial for trial in [*self.controls_wanted(), *self.trials()]}
        return [trial for trial in wanted.values() if not self.store.has(trial)]

    def stored(self) -> list[Trial]:
        """The trials of the table and of the controls that are stored, the table's first."""
        every = {trial.id: trial for trial in [*self.trials(), *self.controls_wanted()]}
        return [trial for trial in every.values() if self.store.has(trial)]

    def controls_wanted(self) -> list[Trial]:
        """The control runs and what they are compared with, at the first seed of each bit fingerprint."""
        return [trial for seed in self._firsts().values() for trial in self._controls_in_order(seed)]

    def _controls_in_order(self, seed: int) -> list[Trial]:
        trials = [trial for pair in self.control_trials(seed).values() for trial in reversed(pair)]
        return list({trial.id: trial for trial in trials}.values())

    def _missing_controls(self, seed: int) -> list[Trial]:
        return [trial for trial in self._controls_in_order(seed) if not self.store.has(trial)]

    def bit_fingerprints(self) -> dict[int, str]:
        """The bit fingerprint of each seed of which a trial is stored with one."""
        found = {}
        for seed in self.seeds:
            stored = next((trial for trial in self._seed_group(seed) if self.store.has(trial)), None)
            if stored is not None and (bits := self.store.load(stored).bit_fingerprint) is not None:
                found[seed] = bits
        return found

    def _seed_group(self, seed: int) -> list[Trial]:
        return [Trial(self.settings, seed, noise) for noise in self.noises]

    def _firsts(self) -> dict[BitFingerprint, int]:
        """The first seed of each bit fingerprint, where its controls are; of a study not begun, the first of all."""
        firsts: dict[BitFingerprint, int] = {}
        for seed, bits in self.bit_fingerprints().items():
            firsts.setdefault(bits, seed)
        return firsts or {None: self.seeds[0]}

    def run(
        self,
        executor: Executor | None = None,
        *,
        on_trial: Callable[[Outcome[Trial]], None] = _ignore,
        on_remark: Callable[[str], None] = _ignore,
    ) -> Results:
        """Run what is not stored yet and return the results of the whole study.

        Args and errors are those of `complete`.
        """
        self.complete(executor, on_trial=on_trial, on_remark=on_remark)
        return self.results()

    def complete(
        self,
        executor: Executor | None = None,
        *,
        on_trial: Callable[[Outcome[Trial]], None] = _ignore,
        on_remark: Callable[[str], None] = _ignore,
    ) -> None:
        """Run what is not stored yet.

        Args:
            executor: any `concurrent.futures.Executor`; without one, trials run in this process one after another.
            on_trial: called after each trial.
            on_remark: called with what a person should know of a cluster's workers, in words.

        Raises:
            LastbitError: the directory holds something else; a worker of a cluster cannot take part; or a seed that was
                begun cannot be gone on with, since no worker gives its bits.
            InUseError: another process runs this study.
            DamagedError: a stored control is not what was written.
            ControlsFailedError: runs that must be bit-identical are not; trials not yet begun are left out.
            TrialFailedError: the training function raised or a worker died; raised after all other trials have ended,
                or after the first two failed alike before their first update or by `sys.exit`, as all others would.
            StoppedError: the executor was stopped before all trials were stored; what had begun is.
            LostWorkersError: all workers are out of reach, as when a cluster's scheduler has ended.
        """
        with self.store.claimed(self.description()):
            self.store.clear_running()
            failures = list(self._failures(executor, on_trial, on_remark))
            self.store.clear_running()
        if failures:
            raise TrialFailedError(failures, untried=len(self.pending()) - len(failures))

    def _failures(
        self, executor: Executor | None, on_trial: Callable[[Outcome[Trial]], None], on_remark: Callable[[str], None]
    ) -> Iterator[Outcome[Trial]]:
        """Run what is not stored yet and give the trials that failed, which are written down."""
        groups = self._seed_groups()
        checked = self._checked_controls(groups, set())
        repeated, enough = RepeatedFailure(), Event()
        runner = TrialRunner(
            self.training, self.store.root, Trial(self.settings, FIRST_STEPS_SEED, self.noises[0].baseline())
        )
        for outcome in dispatch(runner, groups, executor, on_remark, enough.is_set):
            on_trial(outcome)
            if outcome.error is not None:
                yield outcome
            # Those in progress end before the directory is let go of.
            if outcome.fatal:
                enough.set()
            elif outcome.error is not None:
                self.store.fail(outcome.trial, failure(outcome.error, outcome.exit_code))
            # A cluster's workers have surroundings of their own: what one of them lacks, others may have.
            if repeated.is_shown_by(outcome) and cluster_of(executor) is None:
                enough.set()
            checked = self._checked_controls(groups, checked)

    def _seed_groups(self) -> SeedGroups[Trial]:
        """What is to be run, and with which bit fingerprint each seed was begun."""
        waiting = {
            seed: [trial for trial in self._seed_group(seed) if not self.store.has(trial)] for seed in self.seeds
        }
        owners = self.bit_fingerprints()
        for seed, bits in owners.items():
            self.store.claim_seed(seed, bits)
        return SeedGroups(waiting, owners, self._missing_controls)

    def controls(self) -> Controls | None:
        """Which controls agree, once all of them are stored; None before, and for an uncontrolled study.

        Where seeds have different bit fingerprints, the controls of each must agree.
        """
        found = [self._controls_at(seed) for seed in self._firsts().values()]
        complete = [each for each in found if each is not None]
        return together(complete) if len(complete) == len(found) else None

    def _controls_at(self, seed: int) -> Controls | None:
        pairs = self.control_trials(seed)
        if not pairs or not all(self.store.has(trial) for pair in pairs.values() for trial in pair):
            return None
        found = {name: [self.store.load(trial) for trial in pair] for name, pair in pairs.items()}
        metric = self.metric.name or first_logged(next(iter(found.values()))[0])
        return Controls({name: agreement(*pair) for name, pair in found.items()}, metric)

    def grid(self) -> Grid:
        """The stored trials in their table."""
        places = [(i, j) for j in range(len(self.seeds)) for i in range(len(self.noises))]
        trials = dict(zip(places, self.trials(), strict=True))
        stored = {place: self.store.load(trial) for place, trial in trials.items() if self.store.has(trial)}
        failed = {place: found for place, trial in trials.items() if (found := self.store.failure(trial)) is not None}
        return Grid(self.noises, self.seeds, stored, {place: trial.id for place, trial in trials.items()}, failed)

    def results(self) -> Results:
        """What the stored trials say, complete or not."""
        return collect(
            self.grid(),
            name=self.name,
            settings=self.settings,
            controls=self.controls(),
            metric=self.metric,
            seed_decides=self.seed_decides,
        )

    def table(self, metric: str | None = None) -> pl.DataFrame:
        """The paper's Table 1: a row for each noise, a column for each seed, STD (ddof 1) of rows and columns.

        Args:
            metric: a name given to `log`, whose last value counts; by default the study's own metric.
        """
        return self.grid().frame(metric or self.metric.name)

    def report(self, path: str | Path) -> None:
        """Draw the study's page from what is stored.

        Args:
            path: of the HTML file; it is replaced in one step.
        """
        from lastbit.report.study import write_report  # only here: charts take a third of a second that no worker needs

        write_report([self.results().as_json()], Path(path))

    def _checked_controls(self, groups: SeedGroups[Trial], checked: set[int]) -> set[int]:
        """Check the controls that are complete by now, and give the seeds whose controls need not be looked at again.

        Raises:
            ControlsFailedError: some do not agree.
        """
        for seed in set(groups.firsts.values()) - checked:
            controls = self._controls_at(seed)
            if controls is not None and not controls.passed:
                raise ControlsFailedError(controls)
            if controls is not None:
                checked = checked | {seed}
        return checked

    def description(self) -> dict[str, Any]:
        """The study as plain JSON, as `study.json` keeps it."""
        return {
            "format": FORMAT,
            "name": self.name,
            "settings": self.settings,
            "noises": [noise.as_json() for noise in self.noises],
            "seeds": list(self.seeds),
            "controlled": self.controlled,
            "metric": asdict(self.metric),
            "seed_decides": self.seed_decides,
        }


def _check_distinct(what: str, values: Sequence[object]) -> None:
    if not values:
        raise LastbitError(f"a study needs at least one {what}")
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise LastbitError(f"{what} {', '.join(twice)} is given twice: each counts once")
