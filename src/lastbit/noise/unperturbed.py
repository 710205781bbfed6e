"""No noise at all: the run with which a noise that is turned off must agree."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Unperturbed:
    """Leaves optimizer and batches alone, the very objects."""

    @property
    def label(self) -> str:
        """The noise in a word, for tables."""
        return "unperturbed"

    @property
    def source(self) -> str:
        """What runs with this noise differ in."""
        return "nothing"

    @property
    def is_exact(self) -> bool:
        """It changes no bit."""
        return True

    def as_json(self) -> dict[str, str]:
        """Plain data that `noise_from_json` reads back."""
        return {"kind": "unperturbed"}

    def baseline(self) -> "Unperturbed":
        """Itself."""
        return self

    def controls(self) -> "dict[str, tuple[Unperturbed, Unperturbed]]":
        """Pairs that must agree bit for bit: itself and itself."""
        return {"repeat": (self, self)}

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the optimizer as it is."""

    def arrange(self, batch: Any, step: int) -> Any:
        """The batch as it is."""
        return batch
