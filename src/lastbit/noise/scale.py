"""The paper's noise: direction divided by k, learning rate multiplied by k."""

from dataclasses import dataclass
from numbers import Integral

import torch

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise.adam import PerturbedAdam, PerturbedAdamW
from lastbit.noise.of_optimizers import OptimizerNoise
from lastbit.noise.perturbed import Perturbed, become, refuse_unsupported
from lastbit.noise.sgd import PerturbedSGD

# Above it a k need not be a float32, so that d / k would divide by another number than lr * k multiplies by.
LARGEST_K = 2**24

_TWINS: dict[type[torch.optim.Optimizer], type[Perturbed]] = {
    torch.optim.SGD: PerturbedSGD,
    torch.optim.Adam: PerturbedAdam,
    torch.optim.AdamW: PerturbedAdamW,
}


@dataclass(frozen=True)
class Scale(OptimizerNoise):
    """theta <- theta - (lr k) (d / k): a mathematical no-op that rounds (paper, section 4.1).

    Attributes:
        k: the divisor, a whole number from 1 to 2**24. 1 changes nothing; the paper uses 1, 3, 5, 7, 9 and 11.

    Raises:
        LastbitError: k is anything else.
    """

    k: int

    def __post_init__(self) -> None:
        whole = isinstance(self.k, Integral) and not isinstance(self.k, bool)
        if not whole or not 1 <= self.k <= LARGEST_K:
            raise LastbitError(
                "k divides the optimizer's direction and multiplies its learning rate, so it must be a whole number"
                f" from 1 (no noise) to {LARGEST_K}; got {self.k!r}"
            )
        object.__setattr__(self, "k", int(self.k))

    @property
    def label(self) -> str:
        """The noise in a word, for tables: `k=3`."""
        return f"k={self.k}"

    @property
    def is_exact(self) -> bool:
        """Whether runs with this noise are bit-identical to unperturbed ones: powers of two only shift exponents."""
        return self.k & (self.k - 1) == 0

    def as_json(self) -> dict[str, str | int]:
        """Plain data that `noise_from_json` reads back."""
        return {"kind": "scale", "k": self.k}

    def baseline(self) -> "Scale":
        """The noise that changes nothing, k = 1."""
        return Scale(1)

    def controls(self) -> dict[str, tuple["Scale", "Scale"]]:
        """Pairs that must agree bit for bit (paper, appendix B, Tables 4 and 5): k = 1 twice, and k = 2 with k = 1."""
        return {"repeat": (Scale(1), Scale(1)), "power_of_two": (Scale(2), Scale(1))}

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn torch's SGD, Adam or AdamW into its perturbed twin, in place.

        Raises:
            LastbitTypeError: it is another optimizer, or a subclass of these, whose step may be another.
            LastbitError: one of its options is not supported (`fused`, `capturable`, `differentiable`, tensor betas).
        """
        twin = _TWINS.get(type(optimizer))
        if twin is None:
            name = f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"
            raise LastbitTypeError(
                f"k perturbs torch.optim.SGD, Adam and AdamW themselves, not {name}; Ulp and Rounding take any"
            )
        for group in optimizer.param_groups:
            refuse_unsupported(group)
        become(optimizer, twin, self)
