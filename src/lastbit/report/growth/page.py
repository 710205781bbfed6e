"""The page of twins that part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from markupsafe import Markup
from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.charts.figure import Figure
from lastbit.report.growth.charts import amplification_figure, distance_figure, flips_figure
from lastbit.report.growth.predicted import LinearisedShape, predicted_figure
from lastbit.report.growth.words import JumpShape, LevelShape, SegmentShape, fastest, jumps, level
from lastbit.report.numbers import MISSING, points
from lastbit.report.page import Details, Facts, Page, Section, Text, write_page
from lastbit.report.settings import facts, flat_settings, settings_table
from lastbit.report.shape import Count, NonNegative, Real, Shape, Whole, checked
from lastbit.report.table import Table

_RATES = "Rates and jumps of ‖w − w′‖ / ‖w′‖, the relative L2 distance of the weights, and where they lead"


class _Jump(JumpShape):
    layer: str | None = None
    flips: Count


class _Growth(Shape):
    segments: list[SegmentShape]
    jumps: list[_Jump]
    saturation: LevelShape | None


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
    growth: _Growth
    linearised: LinearisedShape | None = None

    @model_validator(mode="after")
    def _agree(self) -> "_Pair":
        """Check that every step has its numbers.

        Raises:
            LastbitError: a list is longer or shorter than that of steps.
        """
        lengths = {"relative_l2": len(self.relative_l2), "flips": len(self.flips)}
        lengths |= {f"norms.{name}": len(values) for name, values in self.norms.items()}
        if self.linearised is not None:
            columns = ("predicted", "amplified", "gap")
            lengths |= {f"linearised.{name}": len(getattr(self.linearised, name)) for name in columns}
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


def as_growth(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Twins as they are once stored: plain JSON, with None for what is not finite.

    Raises:
        LastbitError: they are of another shape, or there is none.
    """
    if isinstance(content, Mapping) and content.get("pairs") == []:
        raise LastbitError("these are not the results of growth: they hold no pair of runs")
    return checked(content, GrowthShape, "these are not the results of growth")


def write_growth_page(content: Mapping[str, Any], path: Path) -> None:
    """Write one HTML page for a recipe's twins; it opens offline and asks for nothing else.

    Args:
        content: as `growth.json` holds it: `name`, `settings`, `seed`, `pairs`, `verdict`.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: it is of another shape, or holds no pair.
    """
    write_page(growth_page(as_growth(content)), path)


def growth_page(content: Mapping[str, Any]) -> Page:
    """The page.

    Args:
        content: as `as_growth` gives it.
    """
    what = (
        f"Two networks were trained on the same batches, step by step (seed {content['seed']}). They differ in nothing "
        "but the rounding of their updates. After every step their weights were compared, and in every forward pass "
        "the sides of their kinks on which their activations lie."
    )
    return Page(
        name="growth",
        title=f"{content['name']} – how the last bit grows",
        heading=f"How does the last bit grow in {content['name']}?",
        header=[Section("", [Text(content["verdict"], "finding")], "verdict")],
        body=[
            Text(what),
            Facts(facts(content["settings"])),
            *growth_figures(content),
            rates_table(content),
            Details("Settings", [settings_table(flat_settings(content["settings"]))]),
        ],
    )


def growth_figures(content: Mapping[str, Any]) -> list[Figure]:
    """The charts, in the order of reading; the map is of the first pair."""
    pairs = content["pairs"]
    predicted = [predicted_figure(pair) for pair in pairs if pair.get("linearised")]
    return [distance_figure(pairs), *predicted, flips_figure(pairs), amplification_figure(pairs[0])]


def rates_table(content: Mapping[str, Any]) -> Table:
    """A row for each pair of twins: its fastest growth, its jumps, and where they lead."""
    columns = [
        "noise",
        "fastest growth",
        "jumps (tensor that leapt most)",
        "flips in them",
        "level reached",
        "test accuracy, % (baseline / noise)",
        "churn, %",
    ]
    note = Markup(
        "A rate r multiplies the distance by e<sup>r</sup> a step; its 95 % interval allows for errors that add up "
        "from step to step. Churn is the share of test images on which the twins disagree after the last step."
    )
    rows = [_row(pair) for pair in content["pairs"]]
    return Table("rates", _RATES, columns, rows, note, align="lllrlrr")


def _row(pair: Mapping[str, Any]) -> list[str]:
    growth = pair["growth"]
    flips = sum(jump["flips"] for jump in growth["jumps"])
    return [
        pair["noise"],
        fastest(growth["segments"], growth["saturation"]),
        jumps(growth["jumps"]),
        f"{flips:,}" if growth["jumps"] and pair["activations"] else MISSING,
        level(growth["saturation"]),
        " / ".join(points(value) for value in pair["test_accuracy"]),
        points(pair["churn"]),
    ]
