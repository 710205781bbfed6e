"""What a recipe says of its optimizer. Needs no torch, so that recipes are read without it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lastbit.errors import LastbitError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Arguments(BaseModel):
    """The `[optimizer]` of a recipe: what every optimizer has. A family's own arguments are fields of a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    lr: Positive
    weight_decay: NonNegative = 0.0


class TorchArguments(Arguments):
    """Of torch's SGD, Adam and AdamW, in one table, by which trials are identified.

    A recipe changes from one of them to another by the name alone; what the other has no use for stays in the table.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
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
