"""Tensors in the form in which they are stored and hashed, wherever and however they lie in memory."""

import sys

import torch
from torch import Tensor


def plain(tensor: Tensor) -> Tensor:
    """Copy a tensor of any shape to the CPU, contiguous and without a gradient's graph."""
    return tensor.detach().cpu().contiguous().clone()


def bits(tensor: Tensor) -> bytes:
    """The bytes of a tensor's elements, in the order of its indices; equal for equal bits, so 0 and -0 differ."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def is_split(tensor: Tensor) -> bool:
    """Whether a tensor is distributed over processes: a `DTensor`, as FSDP2 and tensor parallelism make them."""
    module = sys.modules.get("torch.distributed.tensor")  # without which there are none
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that is on this process; all of one that is not split. They share memory."""
    return tensor.detach().to_local() if is_split(tensor) else tensor  # type: ignore[attr-defined]
