"""What every noise has, and reading one back from plain data."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Protocol, runtime_checkable

import torch

from lastbit.errors import LastbitError
from lastbit.noise.order import Order
from lastbit.noise.rounding import Rounding
from lastbit.noise.scale import Scale
from lastbit.noise.ulp import Ulp
from lastbit.noise.unperturbed import Unperturbed


@runtime_checkable
class Noise(Protocol):
    """A disturbance of training at the level of its last bit."""

    @property
    def label(self) -> str:
        """The noise in a word, for tables."""

    @property
    def source(self) -> str:
        """What runs with this noise differ in, in words: `last-bit noise`, `summation order`."""

    @property
    def is_exact(self) -> bool:
        """Whether runs with this noise must be bit-identical to the baseline's."""

    def as_json(self) -> Mapping[str, Any]:
        """Plain data with a `kind`, which `noise_from_json` reads back."""

    def baseline(self) -> "Noise":
        """The noise of its kind that changes nothing."""

    def controls(self) -> "Mapping[str, tuple[Noise, Noise]]":
        """Pairs of noises whose runs must agree bit for bit, by name; the second is what the first is held against."""

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Put the noise on this very optimizer; `install` and `perturb` check first and then call this.

        It has no effect where batches are what the noise acts on.
        """

    def arrange(self, batch: Any, step: int) -> Any:
        """A batch, the `step`-th from 0, as the training is to use it: in another order of its samples, or as it is."""


_KINDS: dict[str, Callable[..., Noise]] = {
    "order": Order,
    "rounding": Rounding,
    "scale": Scale,
    "ulp": Ulp,
    "unperturbed": Unperturbed,
}
SETTINGS = frozenset({"kind"}.union(*(signature(kind).parameters for kind in _KINDS.values())))  # of all kinds


def noise_from_json(data: Mapping[str, Any]) -> Noise:
    """Read back what a noise's `as_json` gave.

    Raises:
        LastbitError: the kind is unknown, or its settings are missing, superfluous or out of range.
    """
    settings = dict(data)
    kind = settings.pop("kind", None)
    if kind not in _KINDS:
        raise LastbitError(f"a noise has a kind, one of {', '.join(sorted(_KINDS))}; got {kind!r} in {dict(data)}")
    try:
        return _KINDS[kind](**settings)
    except TypeError as error:
        raise LastbitError(f"these are not the settings of the noise {kind!r}: {settings} ({error})") from None
