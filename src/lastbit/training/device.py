"""The device that a training runs on, chosen by name."""

import torch

from lastbit.errors import LastbitError


def choose_device(name: str) -> str:
    """Return the name of a device that this machine has: `auto` is CUDA if it has a GPU, otherwise the CPU.

    Raises:
        LastbitError: the device is unknown or not on this machine.
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
