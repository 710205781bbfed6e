"""Recipes: everything that decides a training run except its seed and its noise, as plain validated data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from lastbit.errors import LastbitError
from lastbit.optimizers.arguments import Positive, TorchArguments
from lastbit.training.models import NETWORKS

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


class RecipePart(BaseModel):
    """Frozen settings that refuse unknown fields and convert no types."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(RecipePart):
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


class ModelSettings(RecipePart):
    """Which network."""

    name: ModelName
    activation: Literal["relu", "swish", "tanh"] = "relu"
    beta: Positive = 1.0  # of Swish, z · σ(βz)
    depth: Depth = _if_set(default=0)  # hidden layers of fully-connected, convolutions of one-channel-conv
    width: Width = _if_set(default=0)  # units of each hidden layer of fully-connected
    # Probability with which each input of the last layer is set to 0 in training.
    dropout: Annotated[float, Field(ge=0, lt=1)] = _if_set(default=0.0)

    @model_validator(mode="after")
    def _sized_where_free(self) -> Self:
        needed = NETWORKS[self.name].sizes
        for field in ("depth", "width"):
            if (getattr(self, field) > 0) != (field in needed):
                raise LastbitError(f"{self.name} {'needs a' if field in needed else 'has no'} {field}")
        return self


def _of_its_family(fields: Any, usual: ValidatorFunctionWrapHandler) -> Any:
    """Read the `[optimizer]` of a recipe: an optimizer that is none of torch's first three has arguments of its own.

    What a recipe says of those three, such as one that it is based on, is left out then.
    """
    if not isinstance(fields, Mapping) or fields.get("name", "sgd") in ("sgd", "adam", "adamw"):
        return usual(fields)
    from lastbit.optimizers.family import arguments_of  # only here: it imports torch

    kind = arguments_of(str(fields["name"]))
    others = TorchArguments.model_fields.keys() - kind.model_fields.keys()
    own = {name: value for name, value in fields.items() if name not in others}
    return kind.model_validate_json(json.dumps(own), strict=True)


def _as_known(table: Any) -> Any:
    """The `[remedy]` table of a recipe in one form, whichever way it was written."""
    if not isinstance(table, Mapping) or not table:
        return table
    from lastbit.remedies.given import remedies_as_json, remedies_from_json  # only here: they import torch

    return remedies_as_json(remedies_from_json(table))


class ScheduleSettings(RecipePart):
    """A step schedule of the learning rate."""

    milestones: tuple[Count, ...] = ()  # epochs after which the learning rate is multiplied by `factor`
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise LastbitError(f"milestones must increase, got {list(self.milestones)}")
        return self


class MeasureSettings(RecipePart):
    """What is recorded along the way. It never changes the training."""

    snapshot_epochs: Count = 1  # epochs from one snapshot to the next, after the log-spaced ones of the first epoch
    fluctuation_epochs: Count | None = None  # epochs from one gradient fluctuation to the next; None for none
    fluctuation_batches: Annotated[int, Field(ge=2)] = 8  # batches whose mean gradient is the reference


class Recipe(RecipePart):
    """A training run except its seed (batch order, augmentation, dropout) and its noise."""

    name: str
    description: str = ""
    scale: str = "paper"  # `paper` for the full recipe
    cuts: str = ""  # what a reduced scale leaves out of the full recipe, in words
    data: DataSettings
    model: ModelSettings
    optimizer: Annotated[SerializeAsAny[TorchArguments], WrapValidator(_of_its_family)]
    schedule: ScheduleSettings = ScheduleSettings()
    measure: MeasureSettings = MeasureSettings()
    epochs: Epochs
    batch_size: Count | None = None  # None for all the training images at every step: gradient descent
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    remedy: Annotated[dict[str, Any], BeforeValidator(_as_known)] = _if_set(default={})  # by name, with their options
    init_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0  # of the initial weights, the same in every trial

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision of weights, gradients and activations."""
        import torch  # only here: reading a recipe needs none

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype
