"""A stored series of sharpness: its shape, and what is read from it."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.shape import Count, NonNegative, Real, Shape, Whole, checked

SeriesJson: TypeAlias = Mapping[str, Any]  # as `sharpness.json` holds it
Measured: TypeAlias = Mapping[str, Any]  # one measurement of it


class _Data(Shape):
    name: str


class _Named(Shape):
    name: str


class _Optimizer(_Named):
    lr: Real
    weight_decay: Real


class _Recipe(Shape):
    name: str
    description: str | None = None
    batch_size: Count | None = None
    dtype: str
    data: _Data
    model: dict[str, Any]
    optimizer: _Optimizer


class _Layer(Shape):
    sharpness: Real | None


class _Flow(Shape):
    relative_l2: NonNegative | None = None


class _Mean(Shape):
    value: Real | None
    lower: Real | None = None
    upper: Real | None = None


class _Batch(Shape):
    samples: Count
    batches: Count
    sharpness: Real | None
    lower: Real | None
    upper: Real | None
    edge: NonNegative | None
    normalised: Real | None
    largest: _Mean
    interaction: _Mean
    noise: _Mean
    signal_to_noise: _Mean
    note: str


class _Critical(Shape):
    lr: NonNegative
    multiple: NonNegative | None
    lower: NonNegative | None
    upper: NonNegative | None
    forwards: Count
    advice: str


class _Central(Shape):
    loss: Real | None
    predicted_loss: Real | None
    normalised: Real | None
    variance: NonNegative | None
    relative_l2: NonNegative | None


class _Row(Shape):
    step: Count
    loss: Real | None
    sharpness: Real | None
    residual: NonNegative | None
    edge: NonNegative | None
    normalised: Real | None
    upper: Real | None
    lower: Real | None
    matvecs: Count
    probed: Count
    miss_probability: Annotated[float, Field(ge=0, le=1)] | None
    converged: bool
    diverged: bool
    values: list[Real | None]
    layers: Mapping[str, _Layer] = Field(default_factory=dict)
    flow: _Flow | None = None
    batch: _Batch | None = None
    central: _Central | None = None
    critical: _Critical | None = None


class SeriesShape(Shape):
    """A series of sharpness along a recipe."""

    recipe: _Recipe
    rows: list[_Row]
    losses: list[Real | None]
    rises: Count
    finding: str
    every: str
    steps: Count
    k: Count
    layers: bool
    flow: bool
    flow_rtol: NonNegative | None
    central_flow: bool = False
    critical: bool = False
    batch_sharpness: bool = False
    small_batch_edge: str | None = None
    stands: str | None = None
    images: Count
    seed: Whole
    edge: str
    measured_images: Count
    full_batch: bool
    batch_norm: bool
    parameters: Count
    numerics: dict[str, Any]

    @model_validator(mode="after")
    def _agree(self) -> "SeriesShape":
        """Check that what was measured has all its numbers.

        Raises:
            LastbitError: a number or a layer is missing where there is a measurement.
        """
        measured = [row for row in self.rows if row.sharpness is not None]
        for row in measured:
            if None in (row.edge, row.normalised, row.upper, row.lower, row.miss_probability, *row.values):
                raise LastbitError(f"the measurement at step {row.step} lacks a number")
            if self.layers and row.layers.keys() != measured[-1].layers.keys():
                raise LastbitError(f"the measurement at step {row.step} has other layers than the last")
        return self


def as_series(series: SeriesJson) -> SeriesJson:
    """A series as it is once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: it is of another shape than a series has.
    """
    if isinstance(series, Mapping) and "arithmetic" in series:  # as `numerics` was called before
        series = {"numerics": series["arithmetic"], **series}
    return checked(series, SeriesShape, "this is no sharpness series")


def measured(series: SeriesJson) -> list[Measured]:
    """The rows that hold a measurement."""
    return [row for row in series["rows"] if row["sharpness"] is not None]


def diverged_at(series: SeriesJson) -> int | None:
    """The step of the first loss that was not finite; None where all were."""
    return next((row["step"] for row in series["rows"] if row["diverged"]), None)
