"""The paper's noise: direction divided by k, learning rate multiplied by k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

from lastbit.errors import LastbitError
from lastbit.noise.noise import Noise, Option

if TYPE_CHECKING:
    from torch.optim import Optimizer

# Above it a k need not be a float32, so that d / k would divide by another number than lr * k multiplies by.
LARGEST_K = 2**24
PAPERS_K = (1, 3, 5, 7, 9, 11)


@dataclass(frozen=True)
class Scale(Noise):
    """theta <- theta - (lr k) (d / k): a mathematical no-op that rounds (paper, section 4.1).

    The step itself is defined by the optimizer's family in `lastbit.optimizers`.

    Attributes:
        k: the divisor, a whole number from 1 to 2**24. 1 changes nothing; the paper uses 1, 3, 5, 7, 9 and 11.

    Raises:
        LastbitError: k is anything else.
    """

    k: int

    kind = "scale"
    help = "the paper's k"
    explanation = (
        "<p>The noise is a whole number k in the optimizer’s update of the weights θ with learning rate lr and "
        'direction d:</p>\n<p class="formula">θ ← θ − (lr · k) · (d / k)</p>\n'
        "<p>Mathematically k cancels, and nothing changes. In floating point d / k is rounded, so some weights change "
        "in their last bit. k=1 is ordinary training; powers of two round nothing and serve as a control. (lr · k is "
        "rounded too, so the learning rate itself may shift by about one rounding error.)</p>"
    )
    options = (Option("k", list, f"For scale: θ ← θ − (lr·k)·(d / k) [{','.join(map(str, PAPERS_K))}]."),)
    takes_fused = False

    def __post_init__(self) -> None:
        is_integer = isinstance(self.k, Integral) and not isinstance(self.k, bool)
        if not is_integer or not 1 <= self.k <= LARGEST_K:
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

    def baseline(self) -> Scale:
        """The noise that changes nothing, k = 1."""
        return Scale(1)

    def another(self) -> Scale | None:
        """That of the next odd k: k and 2k round alike."""
        k = self.k + 1 + self.k % 2
        return Scale(k) if k <= LARGEST_K else None

    def controls(self) -> dict[str, tuple[Noise, Noise]]:
        """Pairs that must agree bit for bit (paper, appendix B, Tables 4 and 5): k = 1 twice, and k = 2 with k = 1."""
        return {"repeat": (Scale(1), Scale(1)), "power_of_two": (Scale(2), Scale(1))}

    @classmethod
    def choose(cls, k: Sequence[int] = PAPERS_K) -> list[Noise]:
        """One noise for each k; the others are compared with the first."""
        return [cls(number) for number in k]

    def attach(self, optimizer: Optimizer) -> None:
        """Turn an optimizer whose family defines a step with k into its perturbed twin, in place.

        Raises:
            LastbitTypeError: it is another optimizer, or a subclass, whose step may be another.
            LastbitError: one of its options is not supported (`fused`, `capturable`, `differentiable`, tensor betas).
        """
        from lastbit.optimizers.perturbed import scale

        scale(optimizer, self)
