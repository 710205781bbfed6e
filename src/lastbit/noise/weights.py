"""The weights of an optimizer as rows of real numbers, read and written at chosen places."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from lastbit.errors import LastbitError
from lastbit.noise.last_place import DTYPES

Groups = Iterable[Mapping[str, Any]]  # an optimizer's `param_groups`


def disturbable(groups: Groups) -> list[Tensor]:
    """The parameters of an optimizer's groups whose numbers have a last place.

    Raises:
        LastbitError: a parameter is no plain tensor (sparse, or distributed over processes).
        RuntimeError: a CUDA graph is being captured, in which nothing can be decided from numbers.
    """
    weights = [weight for group in groups for weight in group["params"]]
    for weight in weights:
        if weight.layout is not torch.strided or is_traceable_wrapper_subclass(weight):
            raise LastbitError(
                f"a parameter of type {type(weight).__name__} and layout {weight.layout} cannot be disturbed: "
                "only plain dense tensors have a last bit to move"
            )
    if any(weight.is_cuda for weight in weights) and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("a step that is captured in a CUDA graph cannot be disturbed: step outside of the capture")
    return [weight for weight in weights if weight.dtype.to_real() in DTYPES and weight.numel()]


def real(weight: Tensor) -> Tensor:
    """Its real numbers: a view with pairs of them if it is complex, else itself."""
    return torch.view_as_real(weight) if weight.is_complex() else weight


def take(weight: Tensor, places: Tensor) -> Tensor:
    """Its real numbers at these places, counted in the order in which they lie in memory."""
    return _in_memory_order(weight).reshape(-1).index_select(0, places)


def put(weight: Tensor, places: Tensor, values: Tensor) -> None:
    """Write real numbers to these places, counted as `take` does; each is given once."""
    ordered = _in_memory_order(weight)
    numbers = ordered.reshape(-1).index_copy_(0, places, values)
    if not ordered.is_contiguous():  # there are gaps, so `numbers` is a copy
        ordered.copy_(numbers.view(ordered.shape))


def _in_memory_order(weight: Tensor) -> Tensor:
    numbers = real(weight)
    if numbers.is_contiguous():
        return numbers
    return numbers.permute(sorted(range(numbers.dim()), key=numbers.stride, reverse=True))
