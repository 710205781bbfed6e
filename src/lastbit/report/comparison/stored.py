"""A stored comparison of two recipes: its shape, and how its numbers are written."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.numbers import difference_decimals
from lastbit.report.shape import Count, Interval, NonNegative, Real, Shape, Whole, checked
from lastbit.report.study.stored import check_gains

ComparedJson: TypeAlias = Mapping[str, Any]  # as `Comparison.as_json` gives it

_Probability = Annotated[float, Field(ge=0, le=1)]


class _Mean(Shape):
    seed: Whole
    value: Real | None


class _Value(_Mean):
    noise: str


class _Side(Shape):
    name: str
    mean: Real
    seeds: list[Whole]
    runs: Count
    compared_seeds: list[Whole] = Field(default_factory=list)  # this and the next two: absent from older comparisons
    compared_runs: Count = 0
    left_out: list[str] = Field(default_factory=list)
    lost: list[str]
    values: list[_Value]
    seed_means: list[_Mean]
    settings: dict[str, Any] | None


class _AnyTest(Shape):
    difference: Real
    lower: Real | None
    upper: Real | None
    p: _Probability
    dof: NonNegative

    @model_validator(mode="after")
    def _agree(self) -> "_AnyTest":
        """Check that an interval has both ends or none.

        Raises:
            LastbitError: it has one.
        """
        if (self.lower is None) != (self.upper is None):
            raise LastbitError("one end of the interval is null and the other is not")
        return self


class _Test(_AnyTest):
    kind: Literal["paired t", "Welch t"]


class _Examples(Shape):
    any_test_set: _AnyTest
    pairs: list[Any]
    pairs_that_differ: Count


class _Rate(Shape):
    percent: NonNegative
    lower: NonNegative
    upper: NonNegative


class _ClassDifference(Shape):
    label: Whole
    examples: Count
    difference: Real
    lower: Real
    upper: Real
    p_adjusted: _Probability


class _Moves(Shape):
    examples: Count
    right_to_wrong: _Rate
    wrong_to_right: _Rate
    retrained: NonNegative
    classes: list[_ClassDifference]


class _Permutation(Shape):
    exact: bool
    p: _Probability
    least_p: _Probability


class _Gain(Shape):
    gain: Real
    runs_needed: Count | None
    power: _Probability | None
    runs: Count


class ComparedShape(Shape):
    """The comparison of two recipes."""

    a: _Side
    b: _Side
    label: str
    unit: str
    doubts: list[str]
    difference: Real
    standard_error: NonNegative
    interval: Interval | None
    paired: _Test | None
    unpaired: _Test
    permutation: _Permutation
    examples: _Examples | None
    moves: _Moves | None = None  # absent from comparisons of before
    noise_floor: NonNegative | None
    detectable: NonNegative | None = None
    least_detectable_gain: dict[str, NonNegative] | None
    runs_needed: Count | None
    finding: str
    verdict: str
    gain: _Gain | None = None

    @model_validator(mode="after")
    def _agree(self) -> "ComparedShape":
        """Check the runs that gains are for."""
        check_gains(self.least_detectable_gain)
        return self


def as_compared(content: ComparedJson) -> ComparedJson:
    """A comparison as it is once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: it is not one.
    """
    return checked(content, ComparedShape, "this is not the comparison of two recipes")


def decimals(content: ComparedJson) -> int:
    """Decimals of a comparison's numbers."""
    error = content["standard_error"] or abs(content["difference"])
    return difference_decimals(error, in_points=bool(content["unit"]))


def points(content: ComparedJson) -> str:
    """The unit of a difference with the space before it."""
    return f" {content['unit']}" if content["unit"] else ""


def with_unit(label: str, content: ComparedJson) -> str:
    """The title of an axis, with the unit of a difference."""
    return f"{label} ({content['unit']})" if content["unit"] else label


def mcnemar_sentence(content: ComparedJson) -> str:
    """What single pairs of runs say; empty where there are none."""
    examples = content["examples"]
    if examples is None or not examples["pairs"]:
        return ""
    pairs, differ = len(examples["pairs"]), examples["pairs_that_differ"]
    return (
        f"Of the {pairs} pairs of single runs with one seed and noise, McNemar’s exact test tells {differ} apart at "
        "5 %: it asks whether two trained networks differ, which they may while their recipes do not."
    )
