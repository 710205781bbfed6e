"""Recipes: everything that decides a training run except its seed and its noise, as plain validated data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lastbit.errors import LastbitError
from lastbit.training.models import NETWORKS

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
# A recipe may come from anyone, so sizes that no machine of today can hold are refused.
Depth = Annotated[int, Field(ge=0, le=10_000)]
Width = Annotated[int, Field(ge=0, le=1_000_000)]
Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
if TYPE_CHECKING:
    import torch

    ModelName = str
else:
    ModelName = Literal[*NETWORKS]


def _if_set(**options: Any) -> Any:
    """A field that plain data leave out while it has its default.

    A recipe's plain data identify its trials, and a new field that a recipe does not use must not change their ids.
    """
    return Field(exclude_if=lambda value: not value, **options)


class Settings(BaseModel):
    """Frozen settings that refuse unknown fields and convert no types."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Settings):
    """Which images are used, how many of them, and how they are prepared."""

    name: str  # a data set of `lastbit data list`
    train: Count | None = None  # the first so many training images; None for all
    test: Count | None = None  # the first so many test images; None for all
    pad: Annotated[int, Field(ge=0, le=64)] = 0  # black pixels added on each side, before anything else
    augment: bool = False  # random crop after padding by 4, and random horizontal flip
    mean: tuple[float, ...] = (0.5,)  # per channel, of pixels in [0, 1]
    std: tuple[Positive, ...] = (0.5,)  # per channel
    # Standardise each pixel by its own mean and STD over the training images used, in place of `mean` and `std`.
    per_pixel: bool = _if_set(default=False)

    @model_validator(mode="after")
    def _still_pixels(self) -> Self:
        if self.per_pixel and (self.pad or self.augment):
            raise LastbitError("per_pixel = true needs pad = 0 and augment = false: moved images have other pixels")
        return self


class ModelSettings(Settings):
    """Which network."""

    name: ModelName
    activation: Literal["relu", "swish", "tanh"] = "relu"
    beta: Positive = 1.0  # of Swish, z · σ(βz)
    depth: Depth = _if_set(default=0)  # hidden layers of fully-connected, convolutions of one-channel-conv
    width: Width = _if_set(default=0)  # units of each hidden layer of fully-connected

    @model_validator(mode="after")
    def _sized_where_free(self) -> Self:
        needed = NETWORKS[self.name].sizes
        for field in ("depth", "width"):
            if (getattr(self, field) > 0) != (field in needed):
                raise LastbitError(f"{self.name} {'needs a' if field in needed else 'has no'} {field}")
        return self


class OptimizerSettings(Settings):
    """Which optimizer, with the settings of torch's class of that name."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Positive
    weight_decay: NonNegative = 0.0
    momentum: Fraction = 0.0  # sgd only
    nesterov: bool = False  # sgd only
    dampening: Fraction = 0.0  # sgd only
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)  # adam and adamw only
    eps: Positive = 1e-8  # adam and adamw only

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise LastbitError("nesterov = true needs momentum > 0 and dampening = 0")
        return self


class ScheduleSettings(Settings):
    """A step schedule of the learning rate."""

    milestones: tuple[Count, ...] = ()  # epochs after which the learning rate is multiplied by `factor`
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise LastbitError(f"milestones must increase, got {list(self.milestones)}")
        return self


class MeasureSettings(Settings):
    """What is recorded along the way. It never changes the training."""

    snapshot_epochs: Count = 1  # epochs from one snapshot to the next, after the log-spaced ones of the first epoch
    fluctuation_epochs: Count | None = None  # epochs from one gradient fluctuation to the next; None for none
    fluctuation_batches: Annotated[int, Field(ge=2)] = 8  # batches whose mean gradient is the reference


class Recipe(Settings):
    """A training run except its seed (batch order, augmentation) and its noise."""

    name: str
    description: str = ""
    scale: str = "paper"  # `paper` for the full recipe
    cuts: str = ""  # what a reduced scale leaves out of the full recipe, in words
    data: DataSettings
    model: ModelSettings
    optimizer: OptimizerSettings
    schedule: ScheduleSettings = ScheduleSettings()
    measure: MeasureSettings = MeasureSettings()
    epochs: Epochs
    batch_size: Count | None = None  # None for all the training images at every step: gradient descent
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    init_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0  # of the initial weights, the same in every trial

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision of weights, gradients and activations."""
        import torch  # only here: reading a recipe needs none

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype
