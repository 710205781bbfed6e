"""Everything a study says, computed from its stored trials."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from lastbit.differing import differing_fields
from lastbit.execution.numerics import Fingerprint
from lastbit.statistics.luck import Luck
from lastbit.statistics.power import between_recipes
from lastbit.statistics.quality import ASSUMED, Quality
from lastbit.statistics.spread import (
    Share,
    Spread,
    Table,
    least_difference,
)
from lastbit.statistics.variance import VarianceSplit
from lastbit.study.contributions import Contributions
from lastbit.study.controls import Controls
from lastbit.study.distances import Churn, Distance, distances_json
from lastbit.study.flips import flips_json
from lastbit.study.grid import Grid
from lastbit.study.metric import Metric
from lastbit.study.repetitions import Repetitions
from lastbit.study.verdict import Basis, verdict

if TYPE_CHECKING:
    import polars as pl

FORMAT = 4  # of the JSON, raised when its meaning or a name in it changes


@dataclass(frozen=True, repr=False)
class Results:
    """A study's numbers. Spreads are in the metric's unit (percentage points of accuracies), churn is in percent."""

    name: str
    settings: Mapping[str, Any]
    metric: Metric  # of which all spreads are
    seed_decides: str  # what another seed changes: `batch order` of a recipe, else `the seed`
    grid: Grid
    controls: Controls | None  # None where they were not run
    counted: Grid  # the same without seeds that repeat another one's runs
    repetitions: Repetitions  # seeds that repeat another one's runs count in no spread
    per_noise: list[Spread | None]  # over seeds, one for each noise
    per_seed: list[Spread | None]  # over noises, one for each seed
    noise: Spread | None  # pooled over seeds
    seed: Spread | None  # pooled over noises
    share: Share | None  # noise.std / seed.std
    variance: VarianceSplit  # of one accuracy, into test set, seed and last bit
    noise_luck: Luck | None  # the spread over noises that independent errors on the test set alone would give
    seed_luck: Luck | None  # the same over seeds
    noise_quality: Quality | None  # the spread over noises that an unlimited test set would show
    seed_quality: Quality | None  # the same over seeds
    noise_churn: Churn | None
    seed_churn: Churn | None
    distances: list[Distance]
    incomparable: list[str]  # pairs of trials that have no distance since their weights have other shapes, and why
    gradient_fluctuation: float | None  # median over epochs and unperturbed trials (paper, footnote 5)
    contributions: Contributions | None = None  # of each source, where several vary

    def __repr__(self) -> str:
        noises, seeds = len(self.grid.noises), len(self.grid.seeds)
        trials = f"{len(self.grid.stored)} of {len(self.grid.ids)} trials"
        return f"<Results of {self.name}: {self.metric.label}, {noises} noise(s), {seeds} seed(s), {trials} stored>"

    def _repr_html_(self) -> str:
        # Only here: these import what draws pages, which takes half a second that no worker needs.
        from lastbit.report.study.sources import sources_quality_table, sources_table
        from lastbit.report.study.tables import accuracy_table, variance_table
        from lastbit.report.table import for_notebook

        content = self.as_json()
        if self.contributions is not None:
            tables = sources_quality_table(content), sources_table(content)
            return for_notebook(f"{self.name}: {content['verdict']}", *tables)
        return for_notebook(f"{self.name}: {content['verdict']}", accuracy_table(content), variance_table(content))

    def table(self, metric: str | None = None) -> "pl.DataFrame":
        """The paper's Table 1: a row for each noise, a column for each seed, STD (ddof 1) of rows and columns.

        Args:
            metric: a name given to `log`, whose last value counts; by default the study's own metric.
        """
        return self.grid.frame(metric or self.metric.name)

    @property
    def source(self) -> str:
        """What the runs of a seed differ in: `last-bit noise`, `summation order`."""
        return self.grid.source

    @property
    def fingerprints(self) -> list[Fingerprint]:
        """The distinct fingerprints of the trials; one is as it should be."""
        return self.grid.fingerprints()

    @property
    def sampling_error(self) -> float | None:
        """Standard deviation that another test set gives one accuracy, in points; None for other metrics."""
        return None if self.variance.test_set is None else self.variance.test_set.std

    @property
    def verdict(self) -> str:
        """The study in one sentence with numbers."""
        values, fingerprints = self.grid.values(self.metric.name), self.fingerprints
        rel_l1 = [value for distance in self.distances if isfinite(value := distance.rel_l1.value)]
        return verdict(
            Basis(
                source=self.source,
                controls=self.controls,
                noise=self.noise,
                seed=self.seed,
                share=self.share,
                quality=self.noise_quality,
                seed_quality=self.seed_quality,
                churn=None if self.noise_churn is None else self.noise_churn.mean,
                largest_distance=max(rel_l1, default=None),
                diverged=sum(trial.diverged_at is not None for trial in self.grid.stored.values()),
                failed=len(self.grid.failed),
                incomparable=tuple(self.incomparable),
                fingerprints=len(fingerprints),
                groups=tuple(tuple(seeds) for seeds in self.grid.by_numerics().values()),
                differing=tuple(differing_fields(fingerprints)),
                metric=self.metric,
                decimals=self.metric.decimals(values),
                seed_decides=self.seed_decides,
                doubts=tuple(self.grid.doubts()),
                measured=bool(np.isfinite(values).any()) or not self.grid.stored,
                logged=tuple(name for name in self.grid.metrics() if name not in (self.metric.name, "epoch")),
                constant=self._constant(values),
                repetitions=self.repetitions,
                contributions=self.contributions,
            )
        )

    def _constant(self, values: Table) -> float | None:
        """The metric's value, where it is the same in all runs of several seeds that differ."""
        finite = values[np.isfinite(values)]
        several = self.repetitions.distinct > 1 and np.isfinite(values).any(0).sum() > 1
        return float(finite[0]) if several and (finite == finite[0]).all() else None

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON, as `lastbit study --json` prints and the report draws it."""
        return {
            "format": FORMAT,
            "name": self.name,
            "settings": dict(self.settings),
            "metric": self.metric.as_json(self.grid.values(self.metric.name)),
            "seed_decides": self.seed_decides,
            "noises": [noise.label for noise in self.grid.noises],
            "source": self.source,
            "seeds": list(self.grid.seeds),
            **({"design": None, "sources": None} if self.contributions is None else self.contributions.as_json()),
            "controls": None if self.controls is None else dict(self.controls.agree),
            "controls_differ": {} if self.controls is None else self.controls.as_json(),
            "same_seeds": [list(group) for group in self.repetitions.groups()],
            "controls_complaint": "" if self.controls is None else self.controls.complaint,
            "trials": list(self.grid.rows(self.metric.name)),
            "std": self._std_json(),
            "sampling_error": self.sampling_error,
            "variance": {
                **self.variance.as_json(),
                "luck": {"last_bit": _plain(self.noise_luck), "batch_order": _plain(self.seed_luck)},
                "quality": {"last_bit": _plain(self.noise_quality), "batch_order": _plain(self.seed_quality)},
                "quality_assumes": ASSUMED,
            },
            "noise_floor": None if self.noise is None else least_difference(self.noise),
            "least_detectable_gain": None if self.seed is None else between_recipes(self.seed).least_gains(),
            "churn": {"unit": "percent", "noise": _plain(self.noise_churn), "seed": _plain(self.seed_churn)},
            "flips": flips_json(self.counted),
            "incomparable": self.incomparable,
            **distances_json(self.grid, self.distances),
            "gradient_fluctuation": self.gradient_fluctuation,
            "numerics": [{"bit_fingerprint": bits, "seeds": seeds} for bits, seeds in self.grid.by_numerics().items()],
            "fingerprints": self.fingerprints,
            "verdict": self.verdict,
        }

    def _std_json(self) -> dict[str, Any]:
        seeds = zip(self.grid.seeds, self.per_seed, strict=True)
        noises = zip(self.grid.noises, self.per_noise, strict=True)
        return {
            "unit": "percent" if self.metric.is_percentage else None,
            "ddof": 1,
            "interval": "95 % chi-square",
            "noise": {"pooled": _plain(self.noise), "per_seed": {str(seed): _plain(std) for seed, std in seeds}},
            "seed": {"pooled": _plain(self.seed), "per_noise": {noise.label: _plain(std) for noise, std in noises}},
            "noise_over_seed": _plain(self.share),
        }


def _plain(estimate: Spread | Share | Churn | Luck | Quality | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)
