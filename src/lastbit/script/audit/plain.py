"""Which tensors the audit can look into."""

import torch
from torch import Tensor

_PLAIN_TYPES = (Tensor, torch.nn.Parameter)
_HANDS_ON = Tensor.__torch_dispatch__  # does nothing


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor's values are bytes in memory that can be looked at."""
    return (
        tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_quantized
        and not tensor.is_nested
        and not is_foreign(type(tensor))
        and (tensor.data_ptr() != 0 or tensor.numel() == 0)  # memory may be given back while a tensor of it lives
    )


def is_foreign(kind: type) -> bool:
    """Whether a class of tensors does torch's operations in a way of its own."""
    return kind not in _PLAIN_TYPES and getattr(kind, "__torch_dispatch__", _HANDS_ON) != _HANDS_ON


def outline(tensor: Tensor) -> tuple[int, ...]:
    """The shape, or what else is known of the size of a tensor that has none."""
    return (tensor.dim(), tensor.numel()) if tensor.is_nested else tuple(tensor.shape)


def cpu_copy(tensor: Tensor) -> Tensor:
    """A copy in the host's memory, in order and of real numbers."""
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.cpu().contiguous().clone()


def bits(tensor: Tensor) -> Tensor:
    """The bits of a tensor of real numbers, as whole numbers, in one row."""
    return tensor.contiguous().view(_BITS[tensor.element_size()]).flatten()


_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
