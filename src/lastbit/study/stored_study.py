"""A study's table of trials and what is stored of it: all that can be asked of a study without training anything."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError
from lastbit.execution.jobs import BitFingerprint
from lastbit.noise import Noise
from lastbit.study.agreement import agreement, first_logged
from lastbit.study.collect import collect
from lastbit.study.controls import Controls, together
from lastbit.study.design import SourceDesign
from lastbit.study.grid import Grid
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.results import Results
from lastbit.study.store import Store
from lastbit.study.trial import Trial
from lastbit.study.verdict import ANY_SEED

if TYPE_CHECKING:
    import polars as pl

FORMAT = 2


class StoredStudy:
    """A study in its directory, to be looked at: `lastbit.open_study` gives one, and `Study` is one that can be run.

    Args:
        out: the study's directory.
        noises: the first is what the others are compared with; by default one that changes nothing, such as `Scale(1)`
            or `Ulp(None)`.
        seeds: what they change is up to the training.
        name: for people.
        settings: plain JSON that identifies the training besides seed and noise.
        controlled: whether the controls are run.
        metric: what is logged under its name at the end of each run is what table, verdict and page compare.
        seed_decides: what another seed changes, as in the middle of a sentence.
        design: of a study that varies several sources apart: the seeds are its cells, and not every noise has a run in
            each of them.

    Raises:
        LastbitError: no noise, no seed, or one twice.
    """

    def __init__(
        self,
        out: str | Path,
        *,
        noises: Iterable[Noise],
        seeds: Iterable[int],
        name: str,
        settings: Mapping[str, Any],
        controlled: bool = True,
        metric: Metric = TEST_ACCURACY,
        seed_decides: str = ANY_SEED,
        design: SourceDesign | None = None,
    ) -> None:
        self.design = design
        self.noises, self.seeds, self.controlled = tuple(noises), tuple(seeds), controlled
        _check_distinct("noise", [noise.label for noise in self.noises])
        _check_distinct("seed", self.seeds)
        self.name, self.settings = name, dict(settings)
        self.metric, self.seed_decides = metric, seed_decides
        self.store = Store(Path(out))

    def __repr__(self) -> str:
        pending, stored = len(self.pending()), len(self.stored())
        table = f"{len(self.noises)} noise(s), {len(self.seeds)} seed(s)" if self.design is None else self.design.words
        return f"<Study {self.name} in {self.store.root}: {table}, {stored} trial(s) stored, {pending} pending>"

    def _repr_html_(self) -> str:
        """For a notebook: what is stored and pending, and of a finished study verdict and table."""
        state = f"<p>{html.escape(repr(self)[1:-1])}</p>"
        return state if self.pending() else state + self.results()._repr_html_()

    def trials(self) -> list[Trial]:
        """The trials of the table, seed by seed."""
        return [trial for seed in self.seeds for trial in self._seed_group(seed)]

    def _trial(self, seed: int, noise: Noise) -> Trial:
        return Trial(self.settings, seed, noise, seeds={} if self.design is None else self.design.at(seed))

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
        held_against, trial = self._trial(seed, reference), self._trial(seed, noise)
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
        fingerprints = {}
        for seed in self.seeds:
            stored = next((trial for trial in self._seed_group(seed) if self.store.has(trial)), None)
            if stored is not None and (bits := self.store.load(stored).bit_fingerprint) is not None:
                fingerprints[seed] = bits
        return fingerprints

    def _seed_group(self, seed: int) -> list[Trial]:
        return [self._trial(seed, noise) for i, noise in enumerate(self.noises) if self._has(i, seed)]

    def _has(self, noise: int, seed: int) -> bool:
        return self.design is None or self.design.has(noise, seed)

    def _firsts(self) -> dict[BitFingerprint, int]:
        """The first seed of each bit fingerprint, where its controls are; of a study not begun, the first of all."""
        firsts: dict[BitFingerprint, int] = {}
        for seed, bits in self.bit_fingerprints().items():
            firsts.setdefault(bits, seed)
        return firsts or {None: self.seeds[0]}

    def controls(self) -> Controls | None:
        """Which controls agree, once all of them are stored; None before, and for an uncontrolled study.

        Where seeds have different bit fingerprints, the controls of each must agree.
        """
        by_seed = [self.controls_at(seed) for seed in self._firsts().values()]
        complete = [controls for controls in by_seed if controls is not None]
        return together(complete) if len(complete) == len(by_seed) else None

    def controls_at(self, seed: int) -> Controls | None:
        """Which controls at a seed agree; None where some of them are not stored, or none are run."""
        pairs = self.control_trials(seed)
        if not pairs or not all(self.store.has(trial) for pair in pairs.values() for trial in pair):
            return None
        trials = {name: [self.store.load(trial) for trial in pair] for name, pair in pairs.items()}
        metric = self.metric.name or first_logged(next(iter(trials.values()))[0])
        return Controls({name: agreement(*pair) for name, pair in trials.items()}, metric)

    def grid(self) -> Grid:
        """The stored trials in their table."""
        places = [(i, j) for j, seed in enumerate(self.seeds) for i in range(len(self.noises)) if self._has(i, seed)]
        trials = dict(zip(places, self.trials(), strict=True))
        stored = {place: self.store.load(trial) for place, trial in trials.items() if self.store.has(trial)}
        failed = {
            place: failure for place, trial in trials.items() if (failure := self.store.failure(trial)) is not None
        }
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
            design=self.design,
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
            **({} if self.design is None else {"design": self.design.as_json()}),
        }


def _check_distinct(what: str, values: Sequence[object]) -> None:
    if not values:
        raise LastbitError(f"a study needs at least one {what}")
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise LastbitError(f"{what} {', '.join(twice)} is given twice: each counts once")
