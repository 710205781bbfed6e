"""Churn: how many predictions two trained networks disagree on."""

from torch import Tensor

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
