"""A trial: one training of a study, identified by a hash of all that decides its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lastbit.noise import Noise
from lastbit.storage.files import sha256, to_json


@dataclass(frozen=True)
class Trial:
    """What is trained, with which seed and noise; `replica` tells repetitions of the very same trial apart."""

    settings: Mapping[str, Any]  # plain JSON: whatever decides the training besides seed and noise
    seed: int
    noise: Noise
    replica: int = 0

    def as_json(self) -> dict[str, Any]:
        """The trial as plain JSON, from which its id is made."""
        return {
            "settings": dict(self.settings),
            "seed": self.seed,
            "noise": self.noise.as_json(),
            "replica": self.replica,
        }

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of the trial's canonical JSON."""
        return trial_id(self.as_json())

    @property
    def label(self) -> str:
        """For people: `seed 1, k=3`."""
        return f"seed {self.seed}, {self.noise.label}" + (f", repeat {self.replica}" if self.replica else "")


def trial_id(description: Mapping[str, Any]) -> str:
    """The id of the trial that `as_json` gave, or a file holds, this description of.

    Args:
        description: with the keys that `Trial.as_json` gives, and no other.
    """
    return sha256(to_json(dict(description)).encode())[:16]
