"""What every noise has, and reading one back from plain data."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch

from lastbit.noise.scale import Scale


@runtime_checkable
class Noise(Protocol):
    """A disturbance of training at the level of its last bit."""

    @property
    def label(self) -> str:
        """The noise in a word, for tables."""

    @property
    def is_exact(self) -> bool:
        """Whether runs with this noise must be bit-identical to the baseline's."""

    def as_json(self) -> Mapping[str, Any]:
        """Plain data with a `kind`, which `noise_from_json` reads back."""

    def baseline(self) -> "Noise":
        """The noise of its kind that changes nothing."""

    def controls(self) -> Mapping[str, "Noise"]:
        """Noises of its kind that must leave a run bit-identical to the baseline's, by name."""

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Put the noise on this very optimizer; `install` and `perturb` check first and then call this."""


_KINDS: dict[str, Callable[..., Noise]] = {"scale": Scale}


def noise_from_json(data: Mapping[str, Any]) -> Noise:
    """Read back what a noise's `as_json` gave.

    Raises:
        ValueError: the kind is unknown, or its settings are missing, superfluous or out of range.
    """
    settings = dict(data)
    kind = settings.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"a noise has a kind, one of {', '.join(sorted(_KINDS))}; got {kind!r} in {dict(data)}")
    try:
        return _KINDS[kind](**settings)
    except TypeError as error:
        raise ValueError(f"these are not the settings of the noise {kind!r}: {settings} ({error})") from None
