"""Whether two sets of weights can be compared at all."""

from collections.abc import Mapping

from torch import Tensor


def check_comparable(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    """Check that two sets of weights have the same names and shapes and hold a weight.

    Raises:
        ValueError: they do not; the message names the first difference.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(shapes.keys() ^ others.keys()):
        raise ValueError(f"weights that differ in their tensors cannot be compared: {name!r} is only in one of them")
    for name, tensor in others.items():
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(
                f"tensor {name!r} has shape {shapes[name]} in one network and {tuple(tensor.shape)} in the other"
            )
    if not any(tensor.numel() for tensor in weights.values()):
        raise ValueError("there is no weight to compare: every tensor is empty")
