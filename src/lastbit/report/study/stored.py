"""A study's stored results: their shape, and what is read from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.growth.words import JumpShape, LevelShape, SegmentShape
from lastbit.report.shape import Count, Decimals, NonNegative, Real, Shape, Whole, checked
from lastbit.report.study.flips_shape import FlipsShape
from lastbit.report.study.sources_shape import ContributionShape, DesignShape

StudyJson = Mapping[str, Any]  # one study's results, as `results.json` holds them
Row = Mapping[str, Any]  # one trial or one measurement in them

# Half the distance from 1 to the next number, relative to 1: the largest relative error of one rounding, 2**exponent.
_ROUNDOFF_EXPONENTS = {"bfloat16": -8, "float16": -11, "float32": -24, "float64": -53}


class _Metric(Shape):
    name: str
    label: str
    unit: str | None
    decimals: Decimals


class _Failure(Shape):
    outcome: str
    last_lines: Sequence[str] = ()


class _Row(Shape):
    """What belongs to a noise; results from before there was a choice have k alone."""

    noise: str = ""
    k: Whole | None = None
    kind: str = ""
    seed: Whole


class _Trial(_Row):
    id: str
    diverged_at: Count | None
    failure: _Failure | None = None
    metrics: Mapping[str, Real | None] = Field(default_factory=dict)


class _Spread(Shape):
    std: NonNegative
    lower: NonNegative
    upper: NonNegative | None


class _ByNoise(Shape):
    pooled: _Spread | None
    per_seed: dict[str, _Spread | None]


class _BySeed(Shape):
    pooled: _Spread | None
    per_noise: dict[str, _Spread | None]


class _Share(Shape):
    value: NonNegative
    lower: NonNegative
    upper: NonNegative


class _Std(Shape):
    ddof: Count
    interval: str
    noise: _ByNoise
    seed: _BySeed
    noise_over_seed: _Share | None


class _Churn(Shape):
    mean: NonNegative
    largest: NonNegative
    pairs: Count


class _Churns(Shape):
    noise: _Churn | None
    seed: _Churn | None


class _Part(Shape):
    std: NonNegative
    lower: NonNegative
    upper: NonNegative | None
    share: NonNegative | None
    truncated: bool


class _Variance(Shape):
    test_set: _Part | None
    batch_order: _Part | None
    last_bit: _Part | None
    test_set_by: str | None
    dropped_seeds: Count


class _Distance(_Row):
    step: Count
    value: NonNegative | None


class _LayerDistance(Shape):
    layer: str
    step: Count
    value: NonNegative | None


class _Growth(_Row):
    segments: list[SegmentShape]
    jumps: list[JumpShape]
    saturation: LevelShape | None


class _Numerics(Shape):
    bit_fingerprint: str | None
    seeds: list[Whole]


class StudyShape(Shape):
    """The results of a study."""

    name: str
    settings: dict[str, Any]
    noises: list[str]
    seeds: list[Whole]
    controls: dict[str, bool] | None
    controls_complaint: str = ""
    trials: list[_Trial]
    std: _Std
    sampling_error: NonNegative | None
    churn: _Churns
    rel_l1: list[_Distance]
    rel_l1_layers: list[_LayerDistance]
    growth: Sequence[_Growth] = ()
    gradient_fluctuation: NonNegative | None
    fingerprints: list[dict[str, Any]]
    numerics: Sequence[_Numerics] = ()
    verdict: Any  # whatever it is, it is shown as text
    variance: _Variance
    noise_floor: NonNegative | None
    least_detectable_gain: dict[str, NonNegative] | None
    metric: _Metric | None = None
    seed_decides: str | None = None
    source: str | None = None
    incomparable: Sequence[str] = ()
    flips: FlipsShape | None = None
    design: DesignShape | None = None
    sources: Mapping[str, ContributionShape | None] | None = None

    @model_validator(mode="after")
    def _agree(self) -> "StudyShape":
        """Check what one part says of another.

        Raises:
            LastbitError: the gains have no spread that they follow from, or are for runs that are no number.
        """
        check_gains(self.least_detectable_gain)
        if self.design is not None:
            self.design.check(self.noises, self.seeds, self.sources)
        if self.least_detectable_gain is not None and self.std.seed.pooled is None:
            raise LastbitError("least_detectable_gain follows from std.seed.pooled, which is null")
        return self


def check_gains(gains: Mapping[str, object] | None) -> None:
    """Check that the least detectable gains are by numbers of runs.

    Raises:
        LastbitError: one is not.
    """
    wrong = [runs for runs in gains or {} if not (runs.isascii() and runs.isdecimal() and 1 < int(runs) < 10**9)]
    if wrong:
        raise LastbitError(f"least_detectable_gain has {wrong[0]!r:.50} for a number of runs")


def as_stored(studies: Sequence[StudyJson]) -> list[StudyJson]:
    """Results as they are once stored: plain JSON, sorted, with None for what is not finite.

    Raises:
        LastbitError: there is no study, one has another shape than results have, or a metric took a column's place.
    """
    if not studies:
        raise LastbitError("a report needs the results of at least one study; got none")
    for study in studies:
        _check_columns(study)
    return [checked(_renamed(study), StudyShape, "these are not the results of a study") for study in studies]


def _renamed(study: StudyJson) -> StudyJson:
    """Results with the names of format 4: until then `numerics` was `arithmetic`, and its `bit_fingerprint` `proof`."""
    if not isinstance(study, Mapping) or "arithmetic" not in study or "numerics" in study:
        return study
    study = dict(study)
    groups = study.pop("arithmetic")
    if isinstance(groups, list) and all(isinstance(group, Mapping) and "proof" in group for group in groups):
        groups = [{"bit_fingerprint": group["proof"], "seeds": group.get("seeds")} for group in groups]
    return {**study, "numerics": groups}


def _check_columns(study: StudyJson) -> None:
    """Refuse results of format 2 in which a metric called `seed` or `noise` overwrote the trial's own.

    It comes before the check of the shape, which would only say that a seed is no whole number.
    """
    if not isinstance(study, Mapping) or study.get("format") != 2:  # since then, metrics are apart
        return
    trials, seeds, noises = (study.get(name) for name in ("trials", "seeds", "noises"))
    if not all(isinstance(part, list) for part in (trials, seeds, noises)):
        return
    for trial in [trial for trial in trials or () if isinstance(trial, Mapping)]:
        columns = {"seed": trial.get("seed") in (seeds or ()), "noise": noise_label(trial) in (noises or ())}
        if taken := [name for name, sound in columns.items() if not sound]:
            raise LastbitError(
                f"the results of {study.get('name')} have format 2, in which a metric called {taken[0]} overwrote the "
                "trials' own: the command that made the study computes them again"
            )


def noise_label(row: Row) -> str:
    """The noise of a trial or measurement in a word, `k=3`, as the study's list of noises has it."""
    if "noise" in row:
        return str(row["noise"])
    return f"k={row['k']}" if "k" in row else str(row.get("kind", ""))


def trials_by_place(study: StudyJson) -> dict[tuple[str, Any], Row]:
    """Trials by noise and seed; one that is not finished is absent."""
    return {(noise_label(trial), trial["seed"]): trial for trial in study["trials"]}


def metrics_of(trial: Row) -> Row:
    """The final metrics of a trial by name, which results before format 3 have among its columns."""
    metrics = trial.get("metrics")
    return metrics if isinstance(metrics, Mapping) else trial


def roundoff_exponent(study: StudyJson) -> int | None:
    """The exponent of two of the unit roundoff of the study's number format; None where that is not known."""
    return _ROUNDOFF_EXPONENTS.get(str(study["settings"].get("dtype")))
