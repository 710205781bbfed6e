"""A fixed computation whose bits tell kinds of arithmetic apart, for trainings that cannot be begun and left."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from lastbit.tensors import bits


def probe() -> str:
    """Hash what this process gets from sums, products of matrices, convolutions and functions, on its CPU and GPU.

    The kernels that differ between processors and libraries are those that add up many terms in an order of their own,
    and those that approximate functions. It takes milliseconds. A training may use others, so equal probes promise less
    than the same first steps of a training do.
    """
    found = hashlib.sha256()
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for result in _results(device):
            found.update(bits(result))
    return found.hexdigest()[:16]


def _results(device: str) -> Iterator[Tensor]:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        numbers = _numbers(96 * 96, dtype, device)
        matrix, images = numbers.view(96, 96), numbers[: 8 * 3 * 16 * 16].view(8, 3, 16, 16)
        yield matrix @ matrix.T
        yield numbers.sum()
        yield functional.conv2d(images, numbers[: 16 * 3 * 3 * 3].view(16, 3, 3, 3), padding=1)
        yield functional.layer_norm(matrix, (96,))
        yield torch.softmax(8 * matrix, 1)
        for function in (torch.exp, torch.tanh, torch.sin, functional.gelu):
            yield function(4 * numbers)


def _numbers(count: int, dtype: torch.dtype, device: str) -> Tensor:
    """Between -0.5 and 0.5, spread evenly and the same everywhere: each operation that makes them rounds correctly."""
    steps = torch.arange(count, dtype=torch.float64)
    return (steps * 0.6180339887498949 % 1 - 0.5).to(device, dtype)
