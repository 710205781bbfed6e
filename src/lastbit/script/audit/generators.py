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
    )
