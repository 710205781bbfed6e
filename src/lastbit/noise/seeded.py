"""Noises that a seed decides, and the random numbers of a seed at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lastbit.noise.noise import Noise, Option, whole_seed

if TYPE_CHECKING:
    import torch

NOISE_SEEDS = Option("noise_seeds", list, "Seeds of the noise, for all but scale [1-5].")
FIRST_SEEDS = range(1, 6)


@dataclass(frozen=True)
class Seeded(Noise):
    """Base of the noises that are decided by a seed alone; without one they change nothing.

    Attributes:
        seed: of the draws; None for none.

    Raises:
        LastbitError: the seed is no whole number from 0 to 2**63 - 1.
    """

    seed: int | None

    off: ClassVar[str]  # the label without a seed
    options = (NOISE_SEEDS,)

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

    def baseline(self) -> Self:
        """The noise that changes nothing."""
        return type(self)(None)

    @classmethod
    def choose(cls, noise_seeds: Sequence[int] = FIRST_SEEDS, **settings: Any) -> list[Noise]:
        """The noise turned off, and then one for each seed."""
        members = [cls(seed=seed, **settings) for seed in noise_seeds]
        return [members[0].baseline(), *members]


def stream(seed: int, step: int, *, device: torch.device | str = "cpu", part: int = 0) -> torch.Generator:
    """A fresh generator for one step of one noise.

    Made anew for every step, so that the number of steps taken is all the state there is: a resumed training draws what
    an uninterrupted one would have drawn. The hash keeps the streams of neighbouring seeds and steps apart.

    Args:
        seed: of the noise.
        step: updates or batches before this one.
        device: of the random numbers.
        part: tells several streams of one step apart.
    """
    import torch

    digest = blake2b(f"{seed}/{step}/{part}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest))
