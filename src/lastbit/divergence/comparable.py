"""Whether two sets of weights can be compared at all."""

from collections.abc import Mapping

from torch import Tensor

from lastbit.errors import LastbitError

Shape = tuple[int, ...]


def check_comparable(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    """Check that two sets of weights have the same names and shapes and hold a weight.

    Raises:
        LastbitError: they do not; the message names the first difference.
    """
    check_shapes(*({name: tuple(tensor.shape) for name, tensor in each.items()} for each in (weights, others)))


def check_shapes(shapes: Mapping[str, Shape], others: Mapping[str, Shape]) -> None:
    """The same of the shapes alone, by the tensors' names.

    Raises:
        LastbitError: they do not; the message names the first difference.
    """
    for name in sorted(shapes.keys() ^ others.keys()):
        raise LastbitError(f"weights that differ in their tensors cannot be compared: {name!r} is only in one of them")
    for name, shape in others.items():
        if shape != shapes[name]:
            raise LastbitError(f"tensor {name!r} has shape {shapes[name]} in one network and {shape} in the other")
    if not any(0 not in shape for shape in shapes.values()):
        raise LastbitError("there is no weight to compare: every tensor is empty")
