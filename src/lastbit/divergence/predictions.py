"""How far two networks' predictions are apart: churn of labels, and distances between logits."""

from dataclasses import dataclass

from torch import Tensor

from lastbit.divergence.distances import norm, ratio
from lastbit.errors import LastbitError


def churn(predictions: Tensor, others: Tensor) -> float:
    """Share of examples, in [0, 1], to which two networks give different labels.

    Two networks of equal accuracy can still disagree on many examples; churn sees it, accuracy does not
    (Milani Fard et al., *Launch and Iterate: Reducing Prediction Churn*, NeurIPS 2016).

    Args:
        predictions: predicted labels, shape (examples,).
        others: the other network's labels on the same examples, shape (examples,).

    Raises:
        LastbitError: the shapes differ or there are no predictions.
    """
    if predictions.shape != others.shape or predictions.numel() == 0:
        raise LastbitError(
            f"churn compares two non-empty predictions of the same examples: got shapes {tuple(predictions.shape)} "
            f"and {tuple(others.shape)}"
        )
    return float((predictions != others).double().mean())


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
        relative_l2=ratio(norm(one - other), norm(other)),
        largest=float((one - other).abs().max()),
        total_variation=float(variation.mean()),
        largest_total_variation=float(variation.max()),
    )
