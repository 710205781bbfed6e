"""Tensors in the form in which they are stored and hashed, wherever and however they lie in memory."""

import torch
from torch import Tensor


def plain(tensor: Tensor) -> Tensor:
    """Copy a tensor of any shape to the CPU, contiguous and without a gradient's graph."""
    return tensor.detach().cpu().contiguous().clone()


def bits(tensor: Tensor) -> bytes:
    """The bytes of a tensor's elements, in the order of its indices; equal for equal bits, so 0 and -0 differ."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
