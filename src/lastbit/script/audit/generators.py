"""The random generators that a program shares between all its parts, looked at without drawing from them."""

import random
import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Generators:
    """Seed, and checksums of the states."""

    torch_seed: int  # of the default generator
    torch_state: int
    python_state: int  # of `random`
    numpy_state: int  # of `numpy.random`
    accelerators: tuple[tuple[str, int], ...] = ()  # device, as `cuda:0`, and state; of those that are at work


def python_state() -> int:
    """Checksum of the state of Python's `random`."""
    return zlib.crc32(repr(random.getstate()).encode())


def generators() -> Generators:
    """Describe the generators of this process."""
    import numpy  # only here: who reads a trace, or starts a run, needs none of them
    import torch

    # The generator behind numpy.random's functions, which many programs still share.
    _, key, position, *_ = numpy.random.get_state()  # noqa: NPY002
    return Generators(
        torch_seed=torch.initial_seed(),
        torch_state=zlib.crc32(torch.get_rng_state().numpy().tobytes()),
        python_state=python_state(),
        numpy_state=zlib.crc32(numpy.asarray(key).tobytes(), int(position)),
        accelerators=_accelerators(),
    )


def _accelerators() -> tuple[tuple[str, int], ...]:
    """The states of the generators of an accelerator's devices, none of which is started by looking."""
    import torch

    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None:
        return ()
    devices = torch.get_device_module(accelerator)
    if not getattr(devices, "is_initialized", lambda: True)():  # not every kind of device has to be started
        return ()
    count = getattr(devices, "device_count", lambda: 1)()
    # MPS has one generator, and takes no number.
    states = [devices.get_rng_state(number) if count > 1 else devices.get_rng_state() for number in range(count)]
    return tuple(
        (f"{accelerator.type}:{number}", zlib.crc32(state.cpu().numpy().tobytes()))
        for number, state in enumerate(states)
    )
