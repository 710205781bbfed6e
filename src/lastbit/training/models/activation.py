"""The activations of the paper's networks: ReLU, Swish and tanh."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from lastbit.errors import LastbitError

Activation = Callable[[], nn.Module]  # makes a fresh activation module


class Swish(nn.Module):
    """Swish, r(z) = z · σ(βz) (paper, section 5.1): a ReLU with a continuous slope, which it tends to as β → ∞.

    Raises:
        LastbitError: beta is not positive.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta > 0:
            raise LastbitError(f"Swish needs beta > 0, got {beta}")
        self.beta = beta

    def forward(self, z: Tensor) -> Tensor:
        """Return z · σ(βz), of the shape of z."""
        if self.beta == 1:
            return functional.silu(z)
        return functional.silu(self.beta * z) / self.beta

    def extra_repr(self) -> str:
        """Show β in the module's repr."""
        return f"beta={self.beta:g}"


def make_activation(name: str, *, beta: float = 1.0) -> nn.Module:
    """Return a new activation module by its name, `relu`, `swish` or `tanh`; β is Swish's.

    Raises:
        LastbitError: an unknown name.
    """
    if name == "relu":
        return nn.ReLU()
    if name == "swish":
        return Swish(beta)
    if name == "tanh":
        return nn.Tanh()
    raise LastbitError(f"unknown activation {name!r}: allowed are 'relu', 'swish' and 'tanh'")
