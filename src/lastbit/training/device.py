"""Where a training runs."""

import torch

from lastbit.errors import LastbitError


def choose_device(name: str) -> str:
    """Return a device that exists here: `auto` is CUDA where there is one, else the CPU.

    Raises:
        LastbitError: the device is unknown or not here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise LastbitError(f"device {name!r}: allowed are auto, cpu, cuda, cuda:N") from None
    if device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()):
        return name
    raise LastbitError(
        f"device {name!r} is not here: this machine has the CPU and {torch.cuda.device_count()} CUDA device(s)"
    )
