"""What memory that is allocated without values is filled with, differently in either run."""

import torch
from torch import Tensor

# Numbers that no program chokes on, and that show wherever they are used; last what fresh memory mostly holds.
_REAL, _WHOLE = (0.5, 1.5, 0.0), (0, 1, 0)
ALIKE = 2  # for either run, where memory is to hold the same


def fill(tensor: Tensor, which: int) -> None:
    """Fill a tensor with the values of run 0 or 1, or ALIKE."""
    tensor.fill_((_REAL if tensor.is_floating_point() else _WHOLE)[which])


def untouched(mine: Tensor, theirs: Tensor, which: int) -> Tensor:
    """Where two tensors hold what run `which` and the other were filled with: nobody wrote there."""
    pairs = ((kind[which], kind[1 - which]) for kind in (_REAL, _WHOLE))
    return torch.stack([(mine == one) & (theirs == other) for one, other in pairs]).any(0)


def fill_rest(tensor: Tensor, written: int, which: int) -> None:
    """Fill the memory of a tensor that has grown, from the first whole element behind `written` bytes on."""
    size = tensor.element_size()
    first, whole = -(-written // size), tensor.untyped_storage().nbytes() // size
    fill(tensor.as_strided((whole - first,), (1,), first), which)
