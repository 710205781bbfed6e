"""A study that can be run: the same training over seeds and noises, with controls, stored as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

from lastbit.errors import LastbitError
from lastbit.execution.dispatch import cluster_of, dispatch
from lastbit.execution.jobs import Outcome, SeedGroups
from lastbit.execution.pool import end_unless_guarded, local_pool
from lastbit.noise import Noise, Scale
from lastbit.study.controls import ControlsFailedError
from lastbit.study.design import SourceDesign, choose_design, design_noises
from lastbit.study.first_steps import SEED as FIRST_STEPS_SEED
from lastbit.study.flips import illustrated
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.results import Results
from lastbit.study.stored_study import StoredStudy
from lastbit.study.training import TrainFunction, Training, TrialRunner, as_training, is_importable
from lastbit.study.trial import RepeatedFailure, Trial, TrialFailedError, failure
from lastbit.study.verdict import ANY_SEED


def _ignore(said: object) -> None:
    """Hear and do nothing."""


def _design(train: object, vary: Iterable[str] | None, runs: int | None, seeds: Iterable[int] | None) -> SourceDesign:
    """The design of a study that is to vary several sources."""
    if vary is None:
        raise LastbitError(f"runs = {runs}: that is for a study that varies several sources; name them (vary)")
    if seeds is not None:
        raise LastbitError(
            "vary and seeds are both given: the design chooses the seeds of each source; give one of them"
        )
    return choose_design(vary, runs, getattr(train, "sources", None))


class Study(StoredStudy):
    """Trains once for each pair of seed and noise, and compares what came out.

    Args:
        out: the study's directory; an interrupted study in it goes on where it stopped.
        train: called with a `Recorder`, whose `seed` and `noise` it uses and to which it gives metrics, weight
            snapshots and predictions. Importable by name where other processes run it.
        noises: the first is what the others are compared with; by default one that changes nothing, such as `Scale(1)`
            or `Ulp(None)`.
        seeds: `train` decides what they change: the order of batches, the initial weights, dropout.
        vary: in place of seeds, the sources of randomness that are told apart, such as `["init", "order", "last-bit"]`.
            `train` finds the seed of each in `recorder.seeds`; the last bit varies by a noise of its own in each repeat
            (by default `Scale(3)`, `Scale(5)`, ... after `Scale(1)`). `train.sources` says which a recipe has; a
            function may name its own.
        runs: with `vary`, how many runs there are in all, without controls; by default 24, or the fewest above
            that are a design.
        name: for people; by default the training's own.
        settings: plain JSON that identifies the training besides seed and noise. By default `train.settings`, else
            the function's qualified name.
        controlled: run the controls and refuse to go on where they fail.
        metric: what is logged under its name at the end of each run is what table, verdict and page compare.
        seed_decides: what another seed changes, as in the middle of a sentence; by default `train.seed_decides`, which
            is `batch order` for a recipe, else `the seed`.

    Raises:
        LastbitError: no noise, no seed, or one twice; both seeds and sources to vary; or sources or a number of runs
            that make no design.
        LastbitTypeError: `vary` is no list of names, or `runs` no whole number.
    """

    def __init__(
        self,
        out: str | Path,
        train: Training | TrainFunction,
        *,
        noises: Iterable[Noise] | None = None,
        seeds: Iterable[int] | None = None,
        vary: Iterable[str] | None = None,
        runs: int | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        controlled: bool = True,
        metric: Metric = TEST_ACCURACY,
        seed_decides: str | None = None,
    ) -> None:
        self.training = as_training(train)
        identity = dict(settings if settings is not None else self.training.settings)
        decides = str(getattr(train, "seed_decides", ANY_SEED))
        design = None
        if vary is not None or runs is not None:
            design = _design(train, vary, runs, seeds)
            usual = (Scale(1), Scale(3)) if design.repeated else (Scale(1),)
            design, noises = design_noises(design, usual if noises is None else tuple(noises))
            seeds, decides = design.cells, design.all_sources
        super().__init__(
            out,
            noises=() if noises is None else noises,
            seeds=() if seeds is None else seeds,
            name=name or str(identity.get("name", "study")),
            settings=identity,
            controlled=controlled,
            metric=metric,
            seed_decides=seed_decides or decides,
            design=design,
        )

    def run(
        self,
        executor: Executor | None = None,
        *,
        workers: int | None = None,
        on_trial: Callable[[Outcome[Trial]], None] = _ignore,
        on_remark: Callable[[str], None] = _ignore,
    ) -> Results:
        """Run what is not stored yet, and return the results of the whole study, which are stored beside its trials.

        Args and errors are those of `complete`.
        """
        self.complete(executor, workers=workers, on_trial=on_trial, on_remark=on_remark)
        results = self.results()
        self.store_results(results)
        return results

    def store_results(self, results: Results | None = None) -> dict[str, Any]:
        """Store results beside the trials, with pictures where the training has some, and return them as JSON.

        Args:
            results: of the study as it is stored; by default they are computed.

        Raises:
            LastbitError: a stored trial is damaged, or the results cannot be written.
        """
        content = illustrated((results or self.results()).as_json(), self.training)
        self.store.store_results(content)
        return content

    def complete(
        self,
        executor: Executor | None = None,
        *,
        workers: int | None = None,
        on_trial: Callable[[Outcome[Trial]], None] = _ignore,
        on_remark: Callable[[str], None] = _ignore,
    ) -> None:
        """Run what is not stored yet.

        Args:
            executor: any `concurrent.futures.Executor`. Without one and without workers, trials run in this process one
                after another.
            workers: so many processes on this machine, one thread each, in place of an executor.
            on_trial: called after each trial.
            on_remark: called with what a person should know of a cluster's workers, in words.

        Raises:
            LastbitError: the directory holds something else; executor and workers were both given, fewer than one
                worker, or workers for a function of a notebook; a worker of a cluster cannot take part; or no worker
                has the bit fingerprint with which a seed was begun.
            InUseError: another process runs this study.
            DamagedError: a stored control is not what was written.
            ControlsFailedError: runs that must be bit-identical are not; trials not yet begun are left out.
            TrialFailedError: the training function raised or a worker died; raised after all other trials have ended,
                or after the first two failed alike before their first update or by `sys.exit`, as all others would.
            StoppedError: the executor was stopped before all trials were stored; what had begun is.
            LostWorkersError: all workers are out of reach, as when a cluster's scheduler has ended.
        """
        end_unless_guarded()
        if executor is not None and workers is not None:
            raise LastbitError(f"workers = {workers} and an executor: give one of them")
        if workers is not None and not is_importable(self.training):
            raise LastbitError(
                f"workers = {workers}: other processes cannot import a function of a notebook or a console; put it "
                "into a module, or run the study without workers"
            )
        with ExitStack() as stack:
            stack.enter_context(self.store.claimed(self.description()))
            if workers is not None:
                executor = stack.enter_context(local_pool(workers))
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
            # Those in progress end before the lock of the directory is released.
            if outcome.fatal:
                enough.set()
            elif outcome.error is not None:
                self.store.fail(outcome.trial, failure(outcome.error, outcome.exit_code))
            # A cluster's workers have different environments: what one lacks, others may have.
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

    def _checked_controls(self, groups: SeedGroups[Trial], checked: set[int]) -> set[int]:
        """Check the controls that are complete by now, and give the seeds whose controls need not be looked at again.

        Raises:
            ControlsFailedError: some do not agree.
        """
        for seed in set(groups.firsts.values()) - checked:
            controls = self.controls_at(seed)
            if controls is not None and not controls.passed:
                raise ControlsFailedError(controls)
            if controls is not None:
                checked = checked | {seed}
        return checked
