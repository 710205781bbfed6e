"""What the page of a study needs of its results."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.shape import Count, Decimals, NonNegative, Positive, Real, Shape, Whole


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


class Segment(Shape):
    """Steps of one rate."""

    first: Count
    last: Count
    rate: Real
    lower: Real | None
    upper: Real | None
    factor: NonNegative | None


class Jump(Shape):
    """A step that makes the distance leap."""

    step: Count
    before: Count
    factor: Positive


class Level(Shape):
    """Where a distance stays."""

    since: Count
    level: NonNegative


class _Growth(_Row):
    segments: list[Segment]
    jumps: list[Jump]
    saturation: Level | None


class _Arithmetic(Shape):
    proof: str | None
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
    arithmetic: Sequence[_Arithmetic] = ()
    verdict: Any  # whatever it is, it is shown as text
    variance: _Variance
    noise_floor: NonNegative | None
    least_detectable_gain: dict[str, NonNegative] | None
    metric: _Metric | None = None
    seed_decides: str | None = None
    source: str | None = None
    incomparable: Sequence[str] = ()

    @model_validator(mode="after")
    def _agree(self) -> "StudyShape":
        """Check what one part says of another.

        Raises:
            LastbitError: the gains have no spread that they follow from, or are for runs that are no number.
        """
        check_gains(self.least_detectable_gain)
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
