"""The shape of what stored results say of examples and classes that flip."""

from typing import Annotated

from pydantic import Field

from lastbit.report.shape import Count, NonNegative, Shape, Whole

# Nothing else goes into a page as a picture.
_PNG = r"^data:image/png;base64,[A-Za-z0-9+/=]+$"


class _ClassChurn(Shape):
    """The churn of one class, in percent, beside that of all others."""

    label: Whole
    examples: Count
    churn: NonNegative
    others: NonNegative | None
    p_adjusted: NonNegative


class _Flipped(Shape):
    """A test example that changes its label."""

    index: Count
    target: Whole
    churn: NonNegative
    votes: list[Annotated[list[Whole], Field(min_length=2, max_length=2)]]  # label, runs


class _Flips(Shape):
    """Over pairs of runs that differ in one thing."""

    classes: list[_ClassChurn]
    examples: list[_Flipped]


class FlipsShape(Shape):
    """Flips over noises and over seeds, with what a training knows of its classes and examples."""

    noise: _Flips | None
    seed: _Flips | None
    class_names: list[str] = Field(default_factory=list)
    pictures: dict[str, Annotated[str, Field(pattern=_PNG)]] = Field(default_factory=dict)
