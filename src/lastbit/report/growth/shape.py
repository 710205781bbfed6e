"""What the page of twins needs of them."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.shape import Count, NonNegative, Real, Shape, Whole
from lastbit.report.study_shape import Jump, Level, Segment


class _Jump(Jump):
    layer: str | None = None
    flips: Count


class _Found(Shape):
    segments: list[Segment]
    jumps: list[_Jump]
    saturation: Level | None


class _Pair(Shape):
    noise: str
    baseline: str
    step: list[Count]
    relative_l2: list[NonNegative | None]
    flips: list[Count]
    norms: dict[str, list[NonNegative | None]]
    activations: Count
    test_accuracy: Annotated[list[Real], Field(min_length=2, max_length=2)]
    churn: NonNegative
    growth: _Found

    @model_validator(mode="after")
    def _agree(self) -> "_Pair":
        """Check that every step has its numbers.

        Raises:
            LastbitError: a list is longer or shorter than that of steps.
        """
        lengths = {"relative_l2": len(self.relative_l2), "flips": len(self.flips)}
        lengths |= {f"norms.{name}": len(values) for name, values in self.norms.items()}
        for name, length in lengths.items():
            if length != len(self.step):
                raise LastbitError(f"{name} has {length} numbers for {len(self.step)} steps")
        return self


class GrowthShape(Shape):
    """Twins of a recipe."""

    name: str
    settings: dict[str, Any]
    seed: Whole
    pairs: list[_Pair]
    verdict: str
