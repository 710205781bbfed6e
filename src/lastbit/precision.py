"""Products for measured curvature: in full float32, and with the same bits each time.

CUDA guarantees neither by default. cuDNN's float32 convolutions keep ten bits of each factor (TF32) by default, matrix
products do where a program asks for it, and the gradient of a convolution may be summed in another order at each call.
Training may do so, but residuals and bounds of curvature assume the errors of the parameters' own precision.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def exact_products() -> Iterator[None]:
    """Multiply float32 as float32 and choose cuDNN kernels that repeat; all settings are put back afterwards."""
    cudnn: Any = torch.backends.cudnn
    with ExitStack() as settings:
        _set(settings, cudnn, "deterministic", True)
        _set(settings, cudnn, "benchmark", False)
        _convolutions(settings, cudnn)
        _matrix_products(settings)
        yield


def _convolutions(settings: ExitStack, cudnn: Any) -> None:
    if _readable(lambda: cudnn.allow_tf32):
        _set(settings, cudnn, "allow_tf32", False)
    else:
        _set(settings, cudnn.conv, "fp32_precision", "ieee")
        _set(settings, cudnn.rnn, "fp32_precision", "ieee")


def _matrix_products(settings: ExitStack) -> None:
    if _readable(torch.get_float32_matmul_precision):
        settings.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("highest")
    else:
        _set(settings, torch.backends.cuda.matmul, "fp32_precision", "ieee")


def _set(settings: ExitStack, owner: Any, name: str, value: object) -> None:
    settings.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _readable(setting: Callable[[], object]) -> bool:
    """Whether torch still reads a setting of the old kind; it raises once a program has used those of the new kind."""
    try:
        setting()
    except RuntimeError:
        return False
    return True
