"""The stored contributions of several sources of randomness: their shape."""

from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

from lastbit.errors import LastbitError
from lastbit.report.shape import Count, NonNegative, Shape, Whole


class ContributionShape(Shape):
    """What one source contributes."""

    std: NonNegative
    lower: NonNegative
    upper: NonNegative
    share: NonNegative | None
    luck: NonNegative | None


class DesignShape(Shape):
    """Which seed each source has in every combination of seeds, and which combinations have a second run."""

    vary: list[str]
    seeds: dict[str, list[Whole]] = Field(min_length=1)
    repeated: list[Whole]
    labels: dict[str, str]
    missing: dict[str, str]
    runs: Count
    finished: Count

    @model_validator(mode="after")
    def _agree(self) -> "DesignShape":
        """Check that every source has a seed in every combination.

        Raises:
            LastbitError: one has not.
        """
        if len({len(seeds) for seeds in self.seeds.values()}) != 1:
            raise LastbitError("the sources of the design have different numbers of seeds")
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
        cells = len(next(iter(self.seeds.values())))
        if list(seeds) != list(range(1, cells + 1)):
            raise LastbitError(
                f"the design has {cells} combinations of seeds, and the study's seeds are not 1 to {cells}"
            )
