"""What batch normalisation changes though its schema does not say so: its running statistics."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

_TRAINING = 5  # position of the argument, behind running_mean and running_var
_NORMALISE = frozenset({"aten::native_batch_norm", "aten::cudnn_batch_norm", "aten::miopen_batch_norm"})


def running_statistics(operation: str, args: Sequence[Any]) -> list[Tensor]:
    """The running mean and variance that an operation has updated; nothing where it is another, or only read them.

    Args:
        operation: its name, `aten::native_batch_norm`.
        args: that it was called with, by position.
    """
    if operation in _NORMALISE and len(args) > _TRAINING and args[_TRAINING] is True:
        return [value for value in args[3:_TRAINING] if isinstance(value, Tensor)]
    return []
