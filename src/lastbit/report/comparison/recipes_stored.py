"""A stored comparison of many recipes with a baseline: its shape."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.shape import Count, Decimals, Interval, NonNegative, Positive, Real, Shape, Whole, checked

RecipesJson: TypeAlias = Mapping[str, Any]  # as `RecipesComparison.as_json` gives it

_Probability = Annotated[float, Field(ge=0, le=1)]


class _Recipe(Shape):
    name: str
    runs: Count
    seeds: list[Whole | str]
    mean: Real | None
    std: NonNegative | None


class _Same(Shape):
    p: _Probability
    p_simultaneous: _Probability | None = None  # absent from older comparisons
    same: bool


class _OverExamples(Shape):
    difference: Real
    interval: Interval | None
    interval_simultaneous: Interval | None = None  # this, the next and `real`: absent from older comparisons
    p_simultaneous: _Probability | None = None
    p: _Probability
    real: bool = False
    examples: Count
    groups: Count | None


class _Difference(Shape):
    recipe: str
    means: Annotated[list[Real | None], Field(min_length=2, max_length=2)] | None = (
        None  # absent from older comparisons
    )
    tasks: Count | None = None  # likewise
    tasks_needed: Count | None = None  # likewise
    difference: Real | None
    interval: Interval | None
    interval_simultaneous: Interval | None
    p: _Probability | None
    p_simultaneous: _Probability | None = None  # absent from older comparisons
    p_holm: _Probability | None
    p_bh: _Probability | None
    probability_better: _Probability | None
    probability_better_interval: Interval | None = None
    test: str | None
    real: bool
    same: _Same | None
    over_examples: _OverExamples | None = None
    runs_needed: Count | None = None  # absent from older comparisons

    @model_validator(mode="after")
    def _agree(self) -> "_Difference":
        """Check that there are both intervals or none, and with them a difference.

        Raises:
            LastbitError: one of them is missing.
        """
        known = [value is not None for value in (self.interval, self.interval_simultaneous)]
        if any(known) and not (all(known) and self.difference is not None and self.p_holm is not None):
            raise LastbitError("an interval is there without the other, the difference or its p")
        return self


class _RecipeGain(Shape):
    task: str | None
    recipe: str
    runs_needed: Count | None
    power: _Probability | None
    runs: Count


class _Gain(Shape):
    gain: Positive
    recipes: list[_RecipeGain]
    sentence: str


class _Task(Shape):
    task: str
    lower_is_better: bool | None = None  # this and the next: absent from older comparisons
    decimals: Decimals | None = None
    comparisons: list[_Difference]


class RecipesShape(Shape):
    """Many recipes against a baseline."""

    metric: str
    lower_is_better: bool
    baseline: str
    within: Positive | None
    decimals: Decimals
    recipes: list[_Recipe]
    comparisons: list[_Difference]
    tasks: list[_Task]
    no_average: str | None = None
    notes: list[str]
    verdict: str
    gain: _Gain | None = None


def as_recipes(content: RecipesJson) -> RecipesJson:
    """A comparison of many recipes as it is once stored.

    Raises:
        LastbitError: it is not one.
    """
    return checked(content, RecipesShape, "this is not the comparison of recipes with a baseline")
