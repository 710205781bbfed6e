"""The stored contributions of several sources of randomness: their shape."""

from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.shape import Count, NonNegative, Shape, Whole


class QualityShape(Shape):
    """The spread that runs would have on an unlimited test set, and the luck of this one."""

    std: NonNegative
    lower: NonNegative
    upper: NonNegative
    luck: NonNegative
    luck_by: str


class ContributionShape(Shape):
    """What one source contributes."""

    std: NonNegative
    lower: NonNegative
    upper: NonNegative
    share: NonNegative | None
    luck: NonNegative | None
    quality: QualityShape | None = None  # results of before it was known by source have none


class DesignShape(Shape):
    """Which seed each source has in every combination of seeds, and which combinations have a second run."""

    vary: list[str]
    seeds: dict[str, list[Whole]] = Field(min_length=1)
    repeated: list[Whole]
    noises: list[Whole] | None = None  # of each repeat; results of before repeats had noises of their own have none
    labels: dict[str, str]
    missing: dict[str, str]
    runs: Count
    finished: Count

    @model_validator(mode="after")
    def _agree(self) -> "DesignShape":
        """Check that every source has a seed in every combination, and every repeat a noise.

        Raises:
            LastbitError: one has not.
        """
        if len({len(seeds) for seeds in self.seeds.values()}) != 1:
            raise LastbitError("the sources of the design have different numbers of seeds")
        if self.noises is not None and len(self.noises) != len(self.repeated):
            raise LastbitError("the design has not one noise for each repeat")
        return self

    def check(
        self, noises: Sequence[str], seeds: Sequence[int], sources: Mapping[str, ContributionShape | None] | None
    ) -> None:
        """Check that the study's seeds number the combinations, and that noises and contributions are there.

        Raises:
            LastbitError: they do not, or are not.
        """
        if not noises:
            raise LastbitError("there is a design of several sources, and noises is empty")
        if sources is None:
            raise LastbitError("there is a design of several sources, and sources is null")
        if any(not 1 <= noise < len(noises) for noise in self.noises or ()):
            raise LastbitError(f"the design names noises that the {len(noises)} of the study do not have")
        cells = len(next(iter(self.seeds.values())))
        if list(seeds) != list(range(1, cells + 1)):
            raise LastbitError(
                f"the design has {cells} combinations of seeds, and the study's seeds are not 1 to {cells}"
            )
