"""What the noises share that a seed turns on and its absence turns off."""

from dataclasses import dataclass
from typing import ClassVar, Self

from lastbit.noise.stream import whole_seed
from lastbit.noise.unperturbed import Unperturbed


@dataclass(frozen=True)
class Seeded:
    """Base of the noises that are decided by a seed alone; without one they change nothing.

    Attributes:
        seed: of the draws; None for none.

    Raises:
        LastbitError: the seed is no whole number from 0 to 2**63 - 1.
    """

    seed: int | None

    kind: ClassVar[str]  # in plain data
    off: ClassVar[str]  # the label without a seed

    def __post_init__(self) -> None:
        if self.seed is not None:
            object.__setattr__(self, "seed", whole_seed(self.seed))

    @property
    def label(self) -> str:
        """The noise in a word, for tables: `ulp #1`."""
        return self.off if self.seed is None else f"{self.kind} #{self.seed}"

    @property
    def is_exact(self) -> bool:
        """Whether it changes nothing."""
        return self.seed is None

    def as_json(self) -> dict[str, str | int | None]:
        """Plain data that `noise_from_json` reads back."""
        return {"kind": self.kind, "seed": self.seed}

    def baseline(self) -> Self:
        """The noise that changes nothing."""
        return type(self)(None)

    def controls(self) -> dict[str, tuple[Self, Self | Unperturbed]]:
        """Pairs that must agree bit for bit: this noise and itself, and the noise turned off with no noise at all."""
        return {"repeat": (self, self), "null": (self.baseline(), Unperturbed())}
