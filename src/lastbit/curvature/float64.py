"""Evaluation in double precision of models and losses that were written for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

# What a model or a loss that cannot be evaluated so raises.
FAILURES = (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError, LookupError)
_NARROW = (torch.float32, torch.float16, torch.bfloat16)


class InFloat64(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every operation takes and gives float64 where it would have narrower floating-point numbers.

    So casts inside a model (as in normalisations that compute in float32) and narrow tensors that a loss holds do not
    round. Operations that write in place are left as they are.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch keeps its compiler away from a mode by importing it, for seconds; under one nothing is compiled."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func._schema.is_mutable:
            return func(*args, **named)
        if named.get("dtype") in _NARROW:
            named["dtype"] = torch.float64
        return tree_map(_widened, func(*tree_map(_widened, tuple(args)), **tree_map(_widened, named)))


def _widened(leaf: Any) -> Any:
    return leaf.to(torch.float64) if isinstance(leaf, Tensor) and leaf.dtype in _NARROW else leaf


def attempted(work: Callable[[], Tensor]) -> Tensor | None:
    """What work gives in double precision; None where it cannot be done so, or the result is not finite."""
    try:
        value = work()
    except FAILURES:
        return None
    return value if value.dtype == torch.float64 and bool(value.isfinite().all()) else None
