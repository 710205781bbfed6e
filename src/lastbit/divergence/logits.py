"""How far apart two networks' outputs are, before they become labels."""

from dataclasses import dataclass

from torch import Tensor

from lastbit.divergence.norm import norm, relative
from lastbit.errors import LastbitError


@dataclass(frozen=True)
class LogitDistance:
    """Distances between two networks' logits on the same examples; NaN or inf where a logit is not finite."""

    relative_l2: float  # ‖z − z′‖ / ‖z′‖ over all examples and classes
    largest: float  # max |z − z′|
    total_variation: float  # mean over examples of ½ Σ |p − p′|, p the softmax, in [0, 1]
    largest_total_variation: float  # of any example


def logit_distance(logits: Tensor, reference: Tensor) -> LogitDistance:
    """Compare two networks' outputs: logits by ‖z − z′‖ / ‖z′‖, predicted distributions by total variation.

    Total variation is the largest difference that the two networks' probabilities of any event can have, and so the
    least churn of two networks that draw their labels from them. Everything is computed in float64.

    Args:
        logits: shape (examples, classes).
        reference: the logits z′ of the network that is compared with; the same shape.

    Raises:
        LastbitError: the shapes differ, are not (examples, classes), or hold nothing.
    """
    if logits.shape != reference.shape or logits.dim() != 2 or logits.numel() == 0:
        raise LastbitError(
            "logits have the shape (examples, classes), the same for both networks and not empty: got "
            f"{tuple(logits.shape)} and {tuple(reference.shape)}"
        )
    one, other = logits.detach().double(), reference.detach().double()
    variation = (one.softmax(1) - other.softmax(1)).abs().sum(1) / 2
    return LogitDistance(
        relative_l2=relative(norm(one - other), norm(other)),
        largest=float((one - other).abs().max()),
        total_variation=float(variation.mean()),
        largest_total_variation=float(variation.max()),
    )
